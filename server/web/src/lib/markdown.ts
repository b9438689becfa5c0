/*
 * Markdown as people write it: headings, lists, quotes, code, tables, emphasis, links. Builds elements and puts text into them as
 * text: HTML in it stays words, and only addresses that cannot run anything become links. Pictures become links too: a
 * text must not make its reader's browser call somewhere.
 */

const SAFE = /^(https?:|mailto:|tel:)/i;

/** Whether an address may become a link. */
export const isSafe = (address: string): boolean => SAFE.test(address);

/** A piece of text with what it is: no nesting but in links and emphasis. */
export type Inline =
  | { kind: 'text'; text: string }
  | { kind: 'code'; text: string }
  | { kind: 'strong'; inside: Inline[] }
  | { kind: 'em'; inside: Inline[] }
  | { kind: 'del'; inside: Inline[] }
  | { kind: 'link'; inside: Inline[]; address: string };

export type Block =
  | { kind: 'heading'; level: number; inside: Inline[] }
  | { kind: 'paragraph'; inside: Inline[] }
  | { kind: 'code'; text: string }
  | { kind: 'quote'; blocks: Block[] }
  | { kind: 'list'; isOrdered: boolean; start: number; items: { blocks: Block[]; isDone: boolean | null }[] }
  | { kind: 'table'; head: Inline[][]; rows: Inline[][][] }
  | { kind: 'rule' };

const INLINE =
  /(`+)([\s\S]+?)\1(?!`)|!?\[([^\]\n]*)\]\(<?([^\s)>]+)>?(?:\s+"[^"\n]*")?\)|\*\*([\s\S]+?)\*\*|__([\s\S]+?)__|\*([^\s*][\s\S]*?)\*|(?<![\p{L}\p{N}])_([^\s_][\s\S]*?)_(?![\p{L}\p{N}])|~~([\s\S]+?)~~|<(https?:[^\s>]+)>|\b(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]])|\\([\\`*_{}[\]()#+\-.!|~>])/gu;

export function inline(text: string, depth = 0): Inline[] {
  const parts: Inline[] = [];
  const say = (words: string) => words && parts.push({ kind: 'text', text: words });
  if (depth > 4) return [{ kind: 'text', text }];
  const inside = (words: string) => inline(words, depth + 1);
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    const [all, , code, label, address, bold, bold2, em, em2, del, bare, loose, escaped] = found;
    say(text.slice(at, found.index));
    at = found.index + all.length;
    if (code !== undefined) parts.push({ kind: 'code', text: code.trim() });
    else if (address !== undefined) {
      if (isSafe(address)) parts.push({ kind: 'link', inside: inside(label || address), address });
      else say(label || all);
    } else if (bold ?? bold2) parts.push({ kind: 'strong', inside: inside((bold ?? bold2)!) });
    else if (em ?? em2) parts.push({ kind: 'em', inside: inside((em ?? em2)!) });
    else if (del) parts.push({ kind: 'del', inside: inside(del) });
    else if (bare ?? loose) {
      parts.push({ kind: 'link', inside: [{ kind: 'text', text: (bare ?? loose)! }], address: (bare ?? loose)! });
    } else say(escaped ?? all);
  }
  say(text.slice(at));
  return parts;
}

const cells = (line: string): string[] =>
  line
    .trim()
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());

const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

export function blocks(text: string, depth = 0): Block[] {
  const lines = text.replace(/\r\n?/g, '\n').split('\n');
  const all: Block[] = [];
  let at = 0;
  const line = () => lines[at] ?? '';
  while (at < lines.length) {
    const fence = /^\s{0,3}(```+|~~~+)/.exec(line());
    const heading = /^\s{0,3}(#{1,6})\s+(.*?)\s*#*$/.exec(line());
    const item = ITEM.exec(line());
    if (line().trim() === '') at += 1;
    else if (fence) {
      const begin = ++at;
      while (at < lines.length && !line().trim().startsWith(fence[1]!)) at += 1;
      all.push({ kind: 'code', text: lines.slice(begin, at).join('\n') });
      at += 1;
    } else if (heading) {
      all.push({ kind: 'heading', level: heading[1]!.length, inside: inline(heading[2]!) });
      at += 1;
    } else if (/^\s{0,3}([-*_])(\s*\1){2,}\s*$/.test(line())) {
      all.push({ kind: 'rule' });
      at += 1;
    } else if (/^\s{0,3}>/.test(line()) && depth < 6) {
      const begin = at;
      while (at < lines.length && /^\s{0,3}>/.test(line())) at += 1;
      const inside = lines.slice(begin, at).map((one) => one.replace(/^\s{0,3}> ?/, ''));
      all.push({ kind: 'quote', blocks: blocks(inside.join('\n'), depth + 1) });
    } else if (item && depth < 6) {
      const isOrdered = /\d/.test(item[2]!);
      const list: Block & { kind: 'list' } = { kind: 'list', isOrdered, start: parseInt(item[2]!, 10) || 1, items: [] };
      const indent = item[1]!.length;
      while (at < lines.length) {
        const next = ITEM.exec(line());
        if (!next || next[1]!.length > indent + 1 || /\d/.test(next[2]!) !== isOrdered) break;
        const wide = line().length - next[3]!.length;
        const inside = [next[3]!];
        at += 1;
        while (at < lines.length) {
          const other = ITEM.exec(line());
          if (other && other[1]!.length <= indent + 1) break;
          if (line().trim() === '' && !/^\s{2,}\S/.test(lines[at + 1] ?? '')) break;
          if (!other && line().trim() !== '' && !/^\s/.test(line()) && /^(#|>|```|~~~)/.test(line())) break;
          inside.push(line().slice(Math.min(wide, line().length - line().trimStart().length)));
          at += 1;
        }
        const task = /^\[([ xX])\]\s+/.exec(inside[0]!);
        if (task) inside[0] = inside[0]!.slice(task[0].length);
        list.items.push({ blocks: blocks(inside.join('\n'), depth + 1), isDone: task ? task[1] !== ' ' : null });
        if (line().trim() === '' && ITEM.test(lines[at + 1] ?? '')) at += 1;
      }
      all.push(list);
    } else if (line().includes('|') && /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(lines[at + 1] ?? '')) {
      const head = cells(line()).map((cell) => inline(cell));
      const rows: Inline[][][] = [];
      at += 2;
      while (at < lines.length && line().includes('|')) {
        rows.push(cells(line()).map((cell) => inline(cell)));
        at += 1;
      }
      all.push({ kind: 'table', head, rows });
    } else {
      const begin = at++;
      while (at < lines.length && line().trim() !== '' && !/^\s{0,3}(#{1,6}\s|>|```|~~~)/.test(line()) && !ITEM.test(line())) at += 1;
      all.push({ kind: 'paragraph', inside: inline(lines.slice(begin, at).map((one) => one.trim()).join('\n')) });
    }
  }
  return all;
}
