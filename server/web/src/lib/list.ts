/* What a folder or a search holds, as columns; the order and the part of it that is shown are lists of row numbers. No DOM here. */

import { FOLDER, type Columns, type Mount, type Node } from './api';
import { join, parentOf } from './paths';

/** One row, put together when it is needed. */
export interface Item {
  id: number;
  path: string;
  name: string;
  kind: number;
  size: number;
  modified: number;
  etag: string;
  permissions: number;
  favorite: boolean;
  shared: number;
  mount: Mount | null;
}

export class Rows {
  #folded: string[] | null = null;

  /** `paths`: where each lies, when they do not all lie in `base`. */
  constructor(
    readonly columns: Columns,
    readonly base: string,
    readonly paths: string[] | null = null,
  ) {}

  get count(): number {
    return this.columns.name.length;
  }

  name(row: number): string {
    return this.columns.name[row] ?? '';
  }

  path(row: number): string {
    return this.paths ? (this.paths[row] ?? '') : join(this.base, this.name(row));
  }

  isFolder(row: number): boolean {
    return this.columns.kind[row] === FOLDER;
  }

  item(row: number): Item {
    const c = this.columns;
    return {
      id: c.id[row] ?? 0,
      path: this.path(row),
      name: this.name(row),
      kind: c.kind[row] ?? 0,
      size: c.size[row] ?? 0,
      modified: c.modified[row] ?? 0,
      etag: c.etag[row] ?? '',
      permissions: c.permissions[row] ?? 0,
      favorite: c.favorite[row] === 1,
      shared: c.shared[row] ?? 0,
      mount: c.mount[row] ?? null,
    };
  }

  rowOf(path: string): number {
    if (this.paths) return this.paths.indexOf(path);
    return parentOf(path) === this.base ? this.columns.name.indexOf(path.slice(path.lastIndexOf('/') + 1)) : -1;
  }

  /** The same without some paths. */
  without(paths: ReadonlySet<string>): Rows {
    const kept: number[] = [];
    for (let row = 0; row < this.count; row += 1) if (!paths.has(this.path(row))) kept.push(row);
    const pick = <T>(column: T[]): T[] => kept.map((row) => column[row] as T);
    const c = this.columns;
    const columns: Columns = {
      id: pick(c.id),
      name: pick(c.name),
      kind: pick(c.kind),
      size: pick(c.size),
      modified: pick(c.modified),
      etag: pick(c.etag),
      permissions: pick(c.permissions),
      favorite: pick(c.favorite),
      shared: pick(c.shared),
      mount: pick(c.mount),
    };
    return new Rows(columns, this.base, this.paths && pick(this.paths));
  }

  /** Names as they are compared with what somebody types: without case and accents. */
  folded(row: number): string {
    this.#folded ??= new Array<string>(this.count);
    return (this.#folded[row] ??= fold(this.name(row)));
  }
}

/** Rows of nodes from all over. */
export function rowsOfNodes(nodes: Node[]): Rows {
  const columns: Columns = {
    id: nodes.map((node) => node.id),
    name: nodes.map((node) => node.name),
    kind: nodes.map((node) => node.kind),
    size: nodes.map((node) => node.size),
    modified: nodes.map((node) => node.modified),
    etag: nodes.map((node) => node.etag),
    permissions: nodes.map((node) => node.permissions),
    favorite: nodes.map((node) => (node.favorite ? 1 : 0)),
    shared: nodes.map((node) => node.shared),
    mount: nodes.map((node) => node.mount),
  };
  return new Rows(
    columns,
    '/',
    nodes.map((node) => node.path),
  );
}

export function fold(text: string): string {
  // Most names are plain; taking accents apart costs much more than lower case.
  const lower = text.toLowerCase();
  // eslint-disable-next-line no-control-regex
  return /^[\x00-\x7f]*$/.test(lower) ? lower : lower.normalize('NFD').replace(/\p{M}+/gu, '');
}

export type SortKey = 'name' | 'size' | 'modified' | 'as-is';
export interface Sort {
  by: SortKey;
  isDown: boolean;
}

/** The order of all rows: folders first, then as asked, names as people count (`2` before `10`). */
export function sorted(rows: Rows, sort: Sort, language: string): number[] {
  const order = Array.from({ length: rows.count }, (_, row) => row);
  if (sort.by === 'as-is') return order;
  const { name, size, modified, kind } = rows.columns;
  const collator = new Intl.Collator(language, { numeric: true });
  const byName = (a: number, b: number) => collator.compare(name[a] ?? '', name[b] ?? '');
  const numbers = sort.by === 'size' ? size : modified;
  const by =
    sort.by === 'name' ? byName : (a: number, b: number) => (numbers[a] ?? 0) - (numbers[b] ?? 0) || byName(a, b);
  const turn = sort.isDown ? -1 : 1;
  return order.sort((a, b) => (kind[b] ?? 0) - (kind[a] ?? 0) || turn * by(a, b));
}

/** The rows of an order whose names hold all words of a text. */
export function filtered(rows: Rows, order: number[], text: string): number[] {
  const words = fold(text).split(/\s+/).filter(Boolean);
  if (words.length === 0) return order;
  return order.filter((row) => {
    const name = rows.folded(row);
    return words.every((word) => name.includes(word));
  });
}
