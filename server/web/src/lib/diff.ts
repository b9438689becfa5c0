/* What differs between two texts, line by line, for showing them beside each other. (no DOM) */

/** One line of the comparison: `left` and `right` are the same, or one of them is missing, or the line changed. */
export interface Row {
  kind: 'same' | 'added' | 'removed' | 'changed';
  left: { number: number; text: string } | null;
  right: { number: number; text: string } | null;
}

/** More differences than anybody reads, and than the page should search for. */
const DISTANCE_MAX = 1_000;

/**
 * The lines that both have, as pairs of positions (Myers, "An O(ND) Difference Algorithm", 1986).
 * Returns `null` when there are more than `DISTANCE_MAX` differences.
 */
function common(a: readonly string[], b: readonly string[]): [number, number][] | null {
  const furthest = new Map<number, number>([[1, 0]]);
  const trace: Map<number, number>[] = [];
  const reach = (k: number) => furthest.get(k) ?? -1;
  for (let d = 0; d <= Math.min(a.length + b.length, DISTANCE_MAX); d += 1) {
    trace.push(new Map([...furthest].filter(([k]) => Math.abs(k) <= d + 1)));
    for (let k = -d; k <= d; k += 2) {
      let x = k === -d || (k !== d && reach(k - 1) < reach(k + 1)) ? reach(k + 1) : reach(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return walkBack(trace, a.length, b.length);
    }
  }
  return null;
}

function walkBack(trace: Map<number, number>[], x: number, y: number): [number, number][] {
  const pairs: [number, number][] = [];
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const before = trace[d]!;
    const reach = (k: number) => before.get(k) ?? -1;
    const k = x - y;
    const from = k === -d || (k !== d && reach(k - 1) < reach(k + 1)) ? k + 1 : k - 1;
    const [fromX, fromY] = d === 0 ? [0, 0] : [reach(from), reach(from) - from];
    while (x > fromX && y > fromY) {
      x -= 1;
      y -= 1;
      pairs.push([x, y]);
    }
    [x, y] = [fromX, fromY];
  }
  return pairs.reverse();
}

export function linesOf(text: string): string[] {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Compares two texts; `null`: they have too little in common to be compared. */
export function compare(left: string, right: string): Row[] | null {
  const [a, b] = [linesOf(left), linesOf(right)];
  const pairs = common(a, b);
  if (!pairs) return null;
  const rows: Row[] = [];
  let [x, y] = [0, 0];
  for (const [nextX, nextY] of [...pairs, [a.length, b.length] as const]) {
    // What lies between two common lines stands beside each other as far as it goes.
    while (x < nextX || y < nextY) {
      const old = x < nextX ? { number: x + 1, text: a[x++]! } : null;
      const fresh = y < nextY ? { number: y + 1, text: b[y++]! } : null;
      rows.push({ kind: old && fresh ? 'changed' : old ? 'removed' : 'added', left: old, right: fresh });
    }
    if (nextX < a.length && nextY < b.length) {
      rows.push({ kind: 'same', left: { number: x + 1, text: a[x++]! }, right: { number: y + 1, text: b[y++]! } });
    }
  }
  return rows;
}

/** Rows to show: those that differ with `around` lines about them; a number says how many were left out. */
export function folded(rows: readonly Row[], around = 3): (Row | number)[] {
  const isNear = rows.map((_, index) =>
    rows.slice(Math.max(0, index - around), index + around + 1).some((row) => row.kind !== 'same'),
  );
  const shown: (Row | number)[] = [];
  rows.forEach((row, index) => {
    if (isNear[index]) shown.push(row);
    else if (typeof shown.at(-1) === 'number') shown[shown.length - 1] = (shown.at(-1) as number) + 1;
    else shown.push(1);
  });
  return shown;
}
