/* How fast bytes are acknowledged, over the last ten seconds: what comes later is guessed from that. */

const WINDOW_MS = 10_000;

export class Speed {
  #marks: { at: number; bytes: number }[] = [];

  /** Takes note of bytes that the server has acknowledged. */
  add(bytes: number, now: number): void {
    this.#marks.push({ at: now, bytes });
    this.#forget(now);
  }

  /** Bytes for each second; 0 when nothing came for a while. */
  rate(now: number): number {
    this.#forget(now);
    const [first] = this.#marks;
    if (!first) return 0;
    const bytes = this.#marks.reduce((sum, mark) => sum + mark.bytes, 0);
    // In the first second a rate says nothing yet.
    return bytes / Math.max(1, (now - this.#begun(first.at)) / 1000);
  }

  /** Seconds until so many bytes are through; `null`: nobody can say. */
  left(bytes: number, now: number): number | null {
    const rate = this.rate(now);
    return rate > 0 ? bytes / rate : null;
  }

  #first: number | null = null;

  #begun(at: number): number {
    this.#first ??= at;
    return Math.max(this.#first, at - WINDOW_MS);
  }

  #forget(now: number): void {
    this.#first ??= this.#marks[0]?.at ?? null;
    while (this.#marks[0] && now - this.#marks[0].at > WINDOW_MS) {
      this.#first = this.#marks[0].at;
      this.#marks.shift();
    }
    if (this.#marks.length === 0) this.#first = null;
  }
}
