import { expect, test } from 'vitest';
import { droppedEntries, type Found } from '../../src/lib/upload/walk';

type Tree = { [name: string]: Tree | null };

/** Entries as a browser gives them: a hundred at a time, then none. */
function entry(name: string, inside: Tree | null): FileSystemEntry {
  if (inside === null) {
    const file = (found: (file: File) => void) => found(new File(['x'], name));
    return { name, isFile: true, isDirectory: false, file } as unknown as FileSystemEntry;
  }
  const createReader = () => {
    const all = Object.entries(inside).map(([child, below]) => entry(child, below));
    return { readEntries: (found: (some: FileSystemEntry[]) => void) => found(all.splice(0, 100)) };
  };
  return { name, isFile: false, isDirectory: true, createReader } as unknown as FileSystemEntry;
}

function dropped(...entries: FileSystemEntry[]): DataTransfer {
  const items = entries.map((one) => ({ kind: 'file', webkitGetAsEntry: () => one, getAsFile: () => null }));
  return { items } as unknown as DataTransfer;
}

async function all(found: AsyncIterable<Found>): Promise<string[]> {
  const said: string[] = [];
  for await (const { folder, file } of found) said.push(`${folder}|${file?.name ?? '-'}`);
  return said;
}

test('a dropped folder is walked to its end, beyond the first hundred of each folder', async () => {
  const many: Tree = Object.fromEntries(Array.from({ length: 250 }, (_, index) => [`${index}`, null]));
  const found = await all(droppedEntries(dropped(entry('A', { deep: { deeper: many }, empty: {}, 'a.txt': null }), entry('b.txt', null))));
  expect(found.filter((one) => one.startsWith('A/deep/deeper|')).length).toBe(250);
  expect(found).toContain('A/empty|-');
  expect(found).toContain('A|a.txt');
  expect(found).toContain('|b.txt');
  expect(found.length).toBe(253);
});
