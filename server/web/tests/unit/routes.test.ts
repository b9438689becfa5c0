import { expect, test } from 'vitest';
import { UndoStack } from '../../src/lib/undo';
import { hrefOf, routeOf, searchHref } from '../../src/routes';

const of = (path: string) => routeOf(new URL(path, 'https://host'));

test('addresses lead to places and back', () => {
  for (const path of ['/', '/A', '/A & B/é%?#.d', '/a/b/c']) {
    expect(of(hrefOf(path))).toEqual({ page: 'files', path, see: null });
  }
  expect(of(hrefOf('/A', 'b #1?.txt'))).toEqual({ page: 'files', path: '/A', see: 'b #1?.txt' });
  expect(of(searchHref('a&b', '/Ü'))).toEqual({ page: 'search', q: 'a&b', path: '/Ü' });
  expect(of('/')).toEqual({ page: 'files', path: '/', see: null });
  expect(of('/shared/links')).toEqual({ page: 'shared', part: 'links' });
  expect(of('/dav/')).toEqual({ page: 'nowhere' });
  expect(of('/files/%E0%A4%A')).toEqual({ page: 'files', path: '/%E0%A4%A', see: null });
});

test('what was done last is taken back first, unless one is named', () => {
  const stack = new UndoStack();
  const step = (said: string) => ({ said, undo: async () => said });
  const [a, b, c] = [step('a'), step('b'), step('c')];
  for (const one of [a, b, c]) stack.push(one);
  expect(stack.take(b)).toBe(b);
  expect(stack.take(b)).toBe(null);
  expect(stack.take()).toBe(c);
  expect(stack.take()).toBe(a);
  expect([stack.take(), stack.isEmpty]).toEqual([null, true]);
});
