import { expect, test } from 'vitest';
import type { Columns } from '../../src/lib/api';
import { filtered, fold, Rows, sorted } from '../../src/lib/list';

function rows(...names: string[]): Rows {
  const all = <T>(make: (name: string, index: number) => T) => names.map(make);
  const columns: Columns = {
    id: all((_, index) => index + 1),
    name: all((name) => name.replace('/', '')),
    kind: all((name) => (name.endsWith('/') ? 1 : 0)),
    size: all((name) => name.length),
    modified: all((_, index) => index),
    etag: all(String),
    permissions: all(() => 31),
    favorite: all(() => 0),
    shared: all(() => 0),
    mount: all(() => null),
  };
  return new Rows(columns, '/here');
}

const names = (of: Rows, order: number[]) => order.map((row) => of.name(row));

test('folders come first, names as people count, accents where they belong', () => {
  const of = rows('photo 10.jpg', 'photo 2.jpg', 'été', 'zoo/', 'Eva', 'archives/');
  const order = sorted(of, { by: 'name', isDown: false }, 'fr');
  expect(names(of, order)).toEqual(['archives', 'zoo', 'été', 'Eva', 'photo 2.jpg', 'photo 10.jpg']);
  const down = sorted(of, { by: 'name', isDown: true }, 'fr');
  expect(names(of, down)).toEqual(['zoo', 'archives', 'photo 10.jpg', 'photo 2.jpg', 'Eva', 'été']);
});

test('what is equally large is in the order of names', () => {
  const of = rows('bb', 'aa', 'c');
  expect(names(of, sorted(of, { by: 'size', isDown: false }, 'fr'))).toEqual(['c', 'aa', 'bb']);
  expect(names(of, sorted(of, { by: 'as-is', isDown: false }, 'fr'))).toEqual(['bb', 'aa', 'c']);
});

test('a filter takes all words, without case and accents', () => {
  const of = rows('Évaluation de Français.pdf', 'evaluation.txt', 'Éval');
  const order = [0, 1, 2];
  expect(names(of, filtered(of, order, 'eval FRANC'))).toEqual(['Évaluation de Français.pdf']);
  expect(filtered(of, order, '  ')).toBe(order);
  expect(fold('ÇÀ œ')).toBe('ca œ');
});

test('rows are found by their paths, and taken out by them', () => {
  const of = rows('a', 'b/', 'c');
  expect(of.rowOf('/here/b')).toBe(1);
  expect(of.rowOf('/there/b')).toBe(-1);
  const rest = of.without(new Set(['/here/b']));
  expect([rest.count, rest.name(1), rest.item(1).id]).toEqual([2, 'c', 3]);
});
