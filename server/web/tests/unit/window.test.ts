import { expect, test } from 'vitest';
import { scrollTo, windowOf } from '../../src/lib/window';

test('rows in sight are drawn, and a few around them', () => {
  const window = windowOf(4000, 400, 40, 10_000);
  expect([window.from, window.to, window.top, window.height]).toEqual([94, 116, 94 * 40, 400_000]);
  expect(windowOf(0, 400, 40, 3).to).toBe(3);
  expect(windowOf(0, 400, 40, 0)).toEqual({ from: 0, to: 0, top: 0, height: 0 });
});

test('a list taller than browsers allow is reached to its end', () => {
  const count = 2_000_000;
  const top = windowOf(0, 400, 40, count);
  expect(top.from).toBe(0);
  const end = windowOf(top.height - 400, 400, 40, count);
  expect(end.to).toBe(count);
  // The last row stands at the bottom of what is seen.
  expect(Math.round(end.top + (end.to - end.from) * 40)).toBe(top.height);
});

test('scrolling goes as far as needed and no farther', () => {
  expect(scrollTo(0, 100, 400, 40, 50)).toBe(0);
  expect(scrollTo(5, 100, 400, 40, 50)).toBe(100);
  expect(scrollTo(20, 100, 400, 40, 50)).toBe(440);
  const far = scrollTo(1_999_999, 0, 400, 40, 2_000_000);
  expect(windowOf(far, 400, 40, 2_000_000).to).toBe(2_000_000);
});
