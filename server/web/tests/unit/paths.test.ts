import { expect, test } from 'vitest';
import { faultOfName, freeName, isWithin, join, nameOf, parentOf, splitName, steps } from '../../src/lib/paths';

test('paths are put together and taken apart', () => {
  expect(join('/', 'a')).toBe('/a');
  expect(join('/a', 'b')).toBe('/a/b');
  expect(parentOf('/a')).toBe('/');
  expect(parentOf('/a/b')).toBe('/a');
  expect(nameOf('/a/b')).toBe('b');
  expect(steps('/a/b')).toEqual(['/a', '/a/b']);
  expect(isWithin('/ab', '/a')).toBe(false);
  expect(isWithin('/a/b', '/a')).toBe(true);
});

test('a free name keeps its ending and counts on', () => {
  const taken = new Set(['a.txt', 'a (2).txt', '.profile']);
  const free = (name: string) => freeName(name, (one) => taken.has(one));
  expect(free('b.txt')).toBe('b.txt');
  expect(free('a.txt')).toBe('a (3).txt');
  expect(free('a (2).txt')).toBe('a (3).txt');
  expect(free('.profile')).toBe('.profile (2)');
  expect(splitName('archive.tar.gz')).toEqual(['archive.tar', '.gz']);
});

test('names that cannot be are told apart', () => {
  expect(faultOfName(' ')).toBe('empty');
  expect(faultOfName('a/b')).toBe('slash');
  expect(faultOfName('..')).toBe('dots');
  expect(faultOfName('é'.repeat(128))).toBe('long');
  expect(faultOfName('é'.repeat(127))).toBe(null);
});
