/* How lists are shown, kept from one visit to the next; and what is chosen in the one that is open. */

import type { Item, Sort } from './list';

const KEPT = 'nuage-view';

interface Kept {
  isGrid: boolean;
  hasDetails: boolean;
  hasSingleKeys: boolean;
  sort: Sort;
}

function kept(): Kept {
  const plain: Kept = { isGrid: false, hasDetails: false, hasSingleKeys: true, sort: { by: 'name', isDown: false } };
  try {
    return { ...plain, ...(JSON.parse(localStorage.getItem(KEPT) ?? '{}') as Partial<Kept>) };
  } catch {
    return plain;
  }
}

class View {
  isGrid = $state(false);
  hasDetails = $state(false);
  /** Whether keys alone (`/`, `?`) do something outside of fields (WCAG 2.1.4). */
  hasSingleKeys = $state(true);
  sort: Sort = $state.raw({ by: 'name', isDown: false });
  chosen: Item[] = $state.raw([]);

  constructor() {
    if (typeof localStorage !== 'undefined') Object.assign(this, kept());
  }

  keep(): void {
    const { isGrid, hasDetails, hasSingleKeys, sort } = this;
    localStorage.setItem(KEPT, JSON.stringify({ isGrid, hasDetails, hasSingleKeys, sort }));
  }
}

export const view = new View();
