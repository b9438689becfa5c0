/* The folder that is shown: listed, kept for the way back, and asked for again when the server says that something has changed. */

import * as api from './api';
import type { Listing, Problem } from './api';
import { Rows } from './list';

/** As many folders are kept for the way back. */
const KEPT = 20;

class Folder {
  path = $state('/');
  listing: Listing | null = $state.raw(null);
  rows: Rows | null = $state.raw(null);
  problem: Problem | null = $state.raw(null);
  #kept = new Map<string, Listing>();
  #asked: AbortController | null = null;

  /** Shows another folder: what is kept of it at once, then what the server says. */
  async open(path: string): Promise<void> {
    if (this.#opening === path) return;
    this.#opening = path;
    if (this.path !== path || !this.listing) {
      this.path = path;
      this.#show(this.#kept.get(path) ?? null);
    }
    await this.refresh();
    if (this.#opening === path) this.#opening = null;
  }

  /** The folder that is being fetched already. */
  #opening: string | null = null;

  /** Asks again; nothing is drawn anew if nothing has changed. */
  async refresh(): Promise<void> {
    const path = this.path;
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    const etag = this.listing?.path === path ? this.listing.etag : null;
    const result = await api.list(path, etag, asked.signal);
    if (asked.signal.aborted || path !== this.path) return;
    if (!result.ok) {
      this.problem = result.problem;
      // What was shown stays where only the way to it is lost: the connection, or the session.
      if (![0, 401].includes(result.problem.status)) this.#show(null);
      return;
    }
    this.problem = null;
    if (result.value === 'unchanged') return;
    this.#kept.delete(path);
    this.#kept.set(path, result.value);
    for (const old of [...this.#kept.keys()].slice(0, -KEPT)) this.#kept.delete(old);
    this.#show(result.value);
  }

  /** Takes rows out before the server has said so. */
  drop(paths: ReadonlySet<string>): void {
    if (this.rows) this.rows = this.rows.without(paths);
    // What is shown is no longer what the ETag names.
    if (this.listing) this.listing = { ...this.listing, etag: '' };
  }

  #show(listing: Listing | null): void {
    this.listing = listing;
    this.rows = listing && new Rows(listing.columns, listing.path);
  }
}

export const folder = new Folder();

const watchers = new Set<() => void>();

/** Calls when something has changed, here or elsewhere; returns how to stop that. */
export function watch(act: () => void): () => void {
  watchers.add(act);
  return () => watchers.delete(act);
}

let pending: ReturnType<typeof setTimeout> | null = null;

/** Says that something has changed; many in a moment count as one. */
export function changed(): void {
  pending ??= setTimeout(() => {
    pending = null;
    for (const act of watchers) act();
  }, 150);
}
