import { expect, test } from 'vitest';
import { blocks, inline, isSafe } from '../../src/lib/markdown';

test('what a text says is told apart', () => {
  const kinds = blocks('# T\n\nword *em* **strong**\nmore\n\n- a\n  - b\n- c\n\n1. x\n2. y\n\n> q\n\n```js\nlet a\n```\n\n---\n\n|a|b|\n|-|-|\n|1|2|');
  expect(kinds.map((block) => block.kind)).toEqual(['heading', 'paragraph', 'list', 'list', 'quote', 'code', 'rule', 'table']);
  const list = kinds[2];
  expect(list?.kind === 'list' && list.items.length).toBe(2);
  expect(list?.kind === 'list' && list.items[0]?.blocks.map((block) => block.kind)).toEqual(['paragraph', 'list']);
});

test('html stays words, and addresses that run something are no links', () => {
  expect(inline('<b onclick=x>a</b>')).toEqual([{ kind: 'text', text: '<b onclick=x>a</b>' }]);
  for (const address of ['javascript:alert(1)', 'data:text/html,x', '//evil.example', '/api/v1/session', 'JaVaScRiPt:x']) {
    expect(isSafe(address), address).toBe(false);
    expect(inline(`[a](${address})`).some((part) => part.kind === 'link')).toBe(false);
  }
  expect(inline('[a](https://example.org)')).toEqual([
    { kind: 'link', inside: [{ kind: 'text', text: 'a' }], address: 'https://example.org' },
  ]);
  expect(inline('![p](https://example.org/p.png)')[0]?.kind).toBe('link');
});

test('words with lines under them are not emphasis', () => {
  expect(inline('a_b_c snake_case_name')).toEqual([{ kind: 'text', text: 'a_b_c snake_case_name' }]);
  expect(inline('\\*no\\*').map((part) => (part.kind === 'text' ? part.text : '?')).join('')).toBe('*no*');
});

test('foreign texts end: deep, long and odd ones', () => {
  const hard = ['>'.repeat(5000), '*'.repeat(5000), '['.repeat(5000), '- '.repeat(3000), '`'.repeat(4001), '**a'.repeat(1500), '|'.repeat(3000)];
  const begun = performance.now();
  for (const text of hard) blocks(text);
  expect(performance.now() - begun).toBeLessThan(3000);
});
