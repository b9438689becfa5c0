import { describe, expect, it } from 'vitest';
import { compare, folded, linesOf } from '../../src/lib/diff';

const shape = (left: string, right: string) =>
  compare(left, right)!.map((row) => `${row.kind}:${row.left?.text ?? ''}|${row.right?.text ?? ''}`);

describe('compare', () => {
  it('finds what was added, removed and changed', () => {
    expect(shape('a\nb\nc\n', 'a\nc\nd\n')).toEqual(['same:a|a', 'removed:b|', 'same:c|c', 'added:|d']);
    expect(shape('a\nold\nz', 'a\nnew\nz')).toEqual(['same:a|a', 'changed:old|new', 'same:z|z']);
    expect(shape('', 'a')).toEqual(['added:|a']);
    expect(shape('', '')).toEqual([]);
  });
  it('keeps both sides whole and in order, whatever they are', () => {
    let seed = 7;
    const draw = (below: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
    for (let round = 0; round < 300; round += 1) {
      const text = () => Array.from({ length: draw(30) }, () => 'abcd'[draw(4)]).join('\n');
      const [left, right] = [text(), text()];
      const rows = compare(left, right)!;
      const side = (name: 'left' | 'right') => rows.flatMap((row) => (row[name] ? [row[name]] : []));
      expect(side('left').map((line) => line.text), `round ${round}`).toEqual(linesOf(left));
      expect(side('right').map((line) => line.text)).toEqual(linesOf(right));
      expect(side('left').map((line) => line.number)).toEqual(linesOf(left).map((_, index) => index + 1));
      for (const row of rows) if (row.kind === 'same') expect(row.left!.text).toBe(row.right!.text);
    }
  });
  it('gives up on texts that have nothing in common', () => {
    const many = (word: string) => Array.from({ length: 5_000 }, (_, index) => `${word}${index}`).join('\n');
    expect(compare(many('a'), many('b'))).toBeNull();
    expect(compare(many('a'), many('a'))).toHaveLength(5_000);
  });
});

it('folds away what is far from a change', () => {
  const lines = Array.from({ length: 20 }, (_, index) => `line ${index}`);
  const rows = compare(lines.join('\n'), lines.with(10, 'other').join('\n'))!;
  expect(folded(rows).map((row) => (typeof row === 'number' ? row : row.kind))).toEqual([
    7, 'same', 'same', 'same', 'changed', 'same', 'same', 'same', 6,
  ]);
});
