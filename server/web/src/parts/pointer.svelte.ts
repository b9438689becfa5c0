/* What the hand is: a finger wants taller rows. And what is being dragged. */

import type { Item } from '../lib/list';

const coarse = typeof matchMedia === 'undefined' ? null : matchMedia('(pointer: coarse)');
const pointer = $state({ isCoarse: coarse?.matches ?? false });
coarse?.addEventListener('change', (event) => (pointer.isCoarse = event.matches));

/** The height of a row in pixels: that of `--row`. */
export const rowHeight = () => (pointer.isCoarse ? 56 : 40);

export const dragged: { items: Item[] } = { items: [] };

/** Whether what is dragged over a place could be put there: files from outside, or rows of ours. */
export function accepts(event: DragEvent): boolean {
  return dragged.items.length > 0 || (event.dataTransfer?.types.includes('Files') ?? false);
}
