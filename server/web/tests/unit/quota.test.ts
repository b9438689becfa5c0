import { expect, it } from 'vitest';
import { readQuota, writeQuota } from '../../src/lib/quota';

it('reads what it writes', () => {
  for (const bytes of [null, 1_000_000, 500_000_000, 20_000_000_000, 1_500_000_000_000]) {
    expect(readQuota(writeQuota(bytes))).toBe(bytes);
  }
});

it('reads what people write, and nothing else', () => {
  expect(readQuota(' 1,5 ')).toBe(1_500_000_000);
  expect(readQuota('1 000')).toBe(1_000_000_000_000);
  expect(readQuota('')).toBeNull();
  for (const wrong of ['0', '-1', 'beaucoup', '1e9', '12345678']) expect(readQuota(wrong)).toBeUndefined();
});
