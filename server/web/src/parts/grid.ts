/* What keys do in a list of files, whatever it looks like. */

import { Selection, type Shown } from '../lib/selection';

export interface Layout {
  /** How many stand beside each other. */
  across: number;
  /** How many rows are in sight. */
  page: number;
}

/** What a key asks for; `null`: it has no meaning here. */
export function keyMoves(event: KeyboardEvent, selection: Selection, shown: Shown, layout: Layout): Selection | null {
  const keys = { shift: event.shiftKey, ctrl: event.ctrlKey || event.metaKey };
  const at = selection.cursor;
  const to = (index: number) => (shown.count === 0 ? selection : selection.move(shown, index, keys));
  switch (event.key) {
    case 'ArrowDown':
      return to(at + layout.across);
    case 'ArrowUp':
      return to(at - layout.across < 0 && layout.across > 1 ? at : at - layout.across);
    case 'ArrowRight':
      return layout.across > 1 ? to(at + 1) : null;
    case 'ArrowLeft':
      return layout.across > 1 ? to(at - 1) : null;
    case 'PageDown':
      return to(at + layout.page * layout.across);
    case 'PageUp':
      return to(at - layout.page * layout.across);
    case 'Home':
      return to(0);
    case 'End':
      return to(shown.count - 1);
    case ' ':
      return shown.count > 0 ? selection.toggle(shown, at) : selection;
    case 'a':
      return keys.ctrl ? selection.all(shown) : null;
    case 'Escape':
      return selection.size > 0 ? selection.none() : null;
    default:
      return null;
  }
}

/** Letters typed one after the other lead to the name that begins so. */
export class Typed {
  #text = '';
  #at = 0;

  /** Returns what has been typed so far, a pause of a second begins anew. */
  add(letter: string, now: number): string {
    this.#text = now - this.#at < 1000 ? this.#text + letter : letter;
    this.#at = now;
    return this.#text;
  }
}
