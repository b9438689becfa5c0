/*
 * What is chosen in a list, by mouse, touch or keys. No DOM here.
 *
 * Chosen are paths, so that a list which changes keeps its choice; the cursor is the row that has the focus, the
 * anchor the row where a range began.
 */

export interface Modifiers {
  shift: boolean;
  ctrl: boolean;
}

/** The paths of a list in the order in which it is shown. */
export interface Shown {
  count: number;
  path(index: number): string;
}

export class Selection {
  constructor(
    readonly chosen: ReadonlySet<string> = new Set(),
    readonly cursor = 0,
    readonly anchor = 0,
  ) {}

  get size(): number {
    return this.chosen.size;
  }

  has(path: string): boolean {
    return this.chosen.has(path);
  }

  /** Chooses one row alone. */
  only(shown: Shown, index: number): Selection {
    return new Selection(new Set([shown.path(index)]), index, index);
  }

  /** Adds a row, or takes it out. */
  toggle(shown: Shown, index: number): Selection {
    const chosen = new Set(this.chosen);
    const path = shown.path(index);
    if (!chosen.delete(path)) chosen.add(path);
    return new Selection(chosen, index, index);
  }

  /** Chooses all from the anchor to a row; what was chosen before stays when `keeps`. */
  range(shown: Shown, index: number, keeps = false): Selection {
    const chosen = new Set(keeps ? this.chosen : []);
    const [from, to] = this.anchor < index ? [this.anchor, index] : [index, this.anchor];
    for (let at = from; at <= to && at < shown.count; at += 1) chosen.add(shown.path(at));
    return new Selection(chosen, index, this.anchor);
  }

  /** What a click on a row does. */
  click(shown: Shown, index: number, keys: Modifiers): Selection {
    if (keys.shift) return this.range(shown, index, keys.ctrl);
    return keys.ctrl ? this.toggle(shown, index) : this.only(shown, index);
  }

  /** Moves the cursor; Shift takes the choice along, Ctrl leaves it alone, neither drops it. */
  move(shown: Shown, index: number, keys: Modifiers): Selection {
    const to = Math.max(0, Math.min(shown.count - 1, index));
    if (keys.shift) return this.range(shown, to, keys.ctrl);
    if (keys.ctrl) return new Selection(this.chosen, to, this.anchor);
    return new Selection(new Set(), to, to);
  }

  /** Puts the cursor on a row, and leaves the choice. */
  at(index: number): Selection {
    return new Selection(this.chosen, index, index);
  }

  all(shown: Shown): Selection {
    const chosen = new Set<string>();
    for (let at = 0; at < shown.count; at += 1) chosen.add(shown.path(at));
    return new Selection(chosen, this.cursor, this.anchor);
  }

  none(): Selection {
    return new Selection(new Set(), this.cursor, this.cursor);
  }

  /** The same in a list that has changed: what is gone is no longer chosen, the cursor stays on its path or its place. */
  within(shown: Shown, cursorPath: string | null): Selection {
    const chosen = new Set<string>();
    let cursor = Math.max(0, Math.min(this.cursor, shown.count - 1));
    if (this.chosen.size > 0 || cursorPath !== null) {
      for (let at = 0; at < shown.count; at += 1) {
        const path = shown.path(at);
        if (this.chosen.has(path)) chosen.add(path);
        if (path === cursorPath) cursor = at;
      }
    }
    const anchor = this.anchor === this.cursor ? cursor : Math.min(this.anchor, Math.max(0, shown.count - 1));
    return new Selection(chosen, cursor, anchor);
  }
}
