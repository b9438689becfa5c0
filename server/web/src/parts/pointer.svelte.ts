/* What the hand is: a finger wants taller rows. And what is being dragged. */

import type { Item } from '../lib/list';

const tall = typeof matchMedia === 'undefined' ? null : matchMedia('(pointer: coarse), (max-width: 40rem)');

/** The size of letters that somebody has set, in pixels. */
const letter = () => parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;

const rows = $state({ isTall: tall?.matches ?? false, letter: typeof document === 'undefined' ? 16 : letter() });
tall?.addEventListener('change', (event) => (rows.isTall = event.matches));
if (typeof addEventListener !== 'undefined') addEventListener('resize', () => (rows.letter = letter()));

/** The size of letters, in pixels. */
export const letterSize = () => rows.letter;

/** The height of a row in pixels: that of `--row`. */
export const rowHeight = () => rows.letter * (rows.isTall ? 3.5 : 2.5);

export const dragged: { items: Item[] } = { items: [] };

/** Whether what is dragged over a place could be put there: files from outside, or rows of ours. */
export function accepts(event: DragEvent): boolean {
  return dragged.items.length > 0 || (event.dataTransfer?.types.includes('Files') ?? false);
}
