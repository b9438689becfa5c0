import { expect, test } from 'vitest';
import { Speed } from '../../src/lib/upload/speed';

test('the rate is that of the last ten seconds', () => {
  const speed = new Speed();
  for (let second = 0; second <= 30; second += 1) speed.add(second < 20 ? 1000 : 5000, second * 1000);
  expect(speed.rate(30_000)).toBeGreaterThan(4900);
  expect(speed.rate(30_000)).toBeLessThan(5600);
  expect(speed.left(10_000, 30_000)).toBeCloseTo(2, 0);
});

test('nobody can say when nothing comes', () => {
  const speed = new Speed();
  expect(speed.left(1000, 0)).toBe(null);
  speed.add(1000, 0);
  expect(speed.left(1000, 500)).toBe(1);
  expect(speed.left(1000, 60_000)).toBe(null);
});

test('bytes that come in lumps do not seem faster than they are', () => {
  const speed = new Speed();
  for (let lump = 1; lump <= 10; lump += 1) speed.add(16_000_000, lump * 4000);
  const rate = speed.rate(40_000);
  expect(rate).toBeGreaterThan(3_000_000);
  expect(rate).toBeLessThan(6_500_000);
});
