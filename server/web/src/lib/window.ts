/* Which rows are drawn: those in sight and a few around them, however many there are. No DOM here. */

/** No element is taller in browsers; past it, places are scaled. */
const TALLEST = 16_000_000;

export interface Window {
  from: number;
  to: number;
  /** Where the first drawn row goes, in pixels from the top of all. */
  top: number;
  /** How tall all rows together are, in pixels. */
  height: number;
}

/** The rows to draw at a scroll position. */
export function windowOf(scroll: number, sight: number, rowHeight: number, count: number, around = 6): Window {
  const full = count * rowHeight;
  const height = Math.min(full, TALLEST);
  const at = full > height ? scroll * ((full - sight) / Math.max(1, height - sight)) : scroll;
  const first = Math.floor(at / rowHeight);
  const from = Math.max(0, Math.min(count, first - around));
  const to = Math.min(count, first + Math.ceil(sight / rowHeight) + around);
  return { from, to, top: from * rowHeight - (at - scroll), height };
}

/** Where to scroll so that a row is in sight; the same position if it is. */
export function scrollTo(row: number, scroll: number, sight: number, rowHeight: number, count: number): number {
  const full = count * rowHeight;
  const height = Math.min(full, TALLEST);
  const scale = full > height ? (full - sight) / Math.max(1, height - sight) : 1;
  const at = scroll * scale;
  if (row * rowHeight < at) return (row * rowHeight) / scale;
  if ((row + 1) * rowHeight > at + sight) return ((row + 1) * rowHeight - sight) / scale;
  return scroll;
}
