/* What was cut or copied, until it is put down. */

import type { Item } from './list';

export const clipboard = $state<{ items: Item[]; isCut: boolean }>({ items: [], isCut: false });

export function hold(items: Item[], isCut: boolean): void {
  clipboard.items = items;
  clipboard.isCut = isCut;
}
