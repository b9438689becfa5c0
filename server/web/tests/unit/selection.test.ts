import { expect, test } from 'vitest';
import { Selection, type Shown } from '../../src/lib/selection';

const plain = { shift: false, ctrl: false };
const shift = { shift: true, ctrl: false };
const ctrl = { shift: false, ctrl: true };

function shown(...paths: string[]): Shown {
  return { count: paths.length, path: (index) => paths[index] ?? '' };
}

const five = shown('a', 'b', 'c', 'd', 'e');
const chosen = (selection: Selection) => [...selection.chosen].sort().join('');

test('clicks choose one, a range, or one more', () => {
  let selection = new Selection().click(five, 1, plain);
  expect(chosen(selection)).toBe('b');
  selection = selection.click(five, 3, shift);
  expect(chosen(selection)).toBe('bcd');
  selection = selection.click(five, 0, shift);
  expect(chosen(selection)).toBe('ab');
  selection = selection.click(five, 4, ctrl);
  expect(chosen(selection)).toBe('abe');
  selection = selection.click(five, 0, ctrl);
  expect(chosen(selection)).toBe('be');
});

test('keys move, take the choice along, or leave it', () => {
  let selection = new Selection().move(five, 2, plain);
  expect([selection.cursor, chosen(selection)]).toEqual([2, '']);
  selection = selection.move(five, 3, shift).move(five, 4, shift);
  expect(chosen(selection)).toBe('cde');
  selection = selection.move(five, 3, shift);
  expect(chosen(selection)).toBe('cd');
  selection = selection.move(five, 0, ctrl);
  expect([selection.cursor, chosen(selection)]).toEqual([0, 'cd']);
  expect(selection.move(five, 99, plain).cursor).toBe(4);
  expect(selection.move(five, -1, plain).cursor).toBe(0);
});

test('a list that changes keeps what is still there, and the cursor on its name', () => {
  const selection = new Selection(new Set(['b', 'd']), 3, 3);
  const later = selection.within(shown('0', 'a', 'd', 'e'), 'd');
  expect([chosen(later), later.cursor, later.anchor]).toEqual(['d', 2, 2]);
  const gone = selection.within(shown('a'), 'd');
  expect([chosen(gone), gone.cursor]).toEqual(['', 0]);
  expect(selection.within(shown(), null).cursor).toBe(0);
});

test('all, and none', () => {
  const all = new Selection(new Set(), 2, 2).all(five);
  expect([all.size, all.cursor]).toEqual([5, 2]);
  expect(all.none().size).toBe(0);
});
