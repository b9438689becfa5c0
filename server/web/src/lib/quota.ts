/* Quotas as administrators write them. (no DOM) */

const GB = 1_000_000_000;

/** Reads a number of gigabytes, with a comma or a point; empty: `null`, the usual quota; `undefined`: no number. */
export function readQuota(text: string): number | null | undefined {
  const plain = text.trim().replace(',', '.').replace(/[\s\u00a0\u202f]/g, '');
  if (plain === '') return null;
  if (!/^\d{1,7}(\.\d{1,3})?$/.test(plain)) return undefined;
  const bytes = Math.round(Number(plain) * GB);
  return bytes > 0 ? bytes : undefined;
}

/** The same, to begin with. */
export function writeQuota(bytes: number | null): string {
  return bytes === null ? '' : String(Math.round(bytes / (GB / 1000)) / 1000);
}
