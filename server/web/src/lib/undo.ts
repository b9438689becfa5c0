/* Everything that can be taken back, the latest first: each change leaves the change that undoes it. */

export interface Undoable {
  /** What was done, for people. */
  said: string;
  /** Takes it back; returns what to say about it. */
  undo: () => Promise<string>;
}

/** As many steps as somebody can remember. */
const DEPTH = 50;

export class UndoStack {
  #steps: Undoable[] = [];

  push(step: Undoable): void {
    this.#steps.push(step);
    if (this.#steps.length > DEPTH) this.#steps.shift();
  }

  /** The latest step, which is then no longer there; or the one named, wherever it is. */
  take(step?: Undoable): Undoable | null {
    if (!step) return this.#steps.pop() ?? null;
    const at = this.#steps.indexOf(step);
    if (at < 0) return null;
    this.#steps.splice(at, 1);
    return step;
  }

  get isEmpty(): boolean {
    return this.#steps.length === 0;
  }
}
