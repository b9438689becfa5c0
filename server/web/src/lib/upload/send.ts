/*
 * How the content of one file gets to the server. The uploader knows this one function and nothing of the way.
 *
 * Small files go in one request. Large ones go in parts, each acknowledged by itself; what of them is there already, after
 * a cut or after the page was closed, is asked for and not sent again.
 */

import * as api from '../api';
import type { Condition, Node, Problem, Result } from '../api';

export interface Job {
  path: string;
  file: File;
  condition: Condition;
  signal: AbortSignal;
  /** Called with the bytes of this file that the server has acknowledged so far. */
  onAcknowledged: (bytes: number) => void;
}

export interface Limits {
  plain_upload_bytes: number;
}

const KEPT = 'nuage-uploads';

interface Begun {
  id: string;
  part_bytes: number;
}

/** What was begun, by file: a closed page goes on where it was when the same file is chosen again. */
const begun = {
  all(): Record<string, Begun> {
    try {
      return JSON.parse(localStorage.getItem(KEPT) ?? '{}') as Record<string, Begun>;
    } catch {
      return {};
    }
  },
  get(key: string): Begun | undefined {
    return this.all()[key];
  },
  set(key: string, value: Begun | null): void {
    const all = this.all();
    if (value) all[key] = value;
    else delete all[key];
    localStorage.setItem(KEPT, JSON.stringify(all));
  },
};

const keyOf = (job: Pick<Job, 'path' | 'file'>): string =>
  JSON.stringify([job.path, job.file.size, job.file.lastModified]);

export async function send(job: Job, limits: Limits): Promise<Result<Node>> {
  if (job.file.size > limits.plain_upload_bytes) return sendParts(job);
  const { path, file, condition, signal } = job;
  const result = await api.putContent(path, file, condition, file.lastModified, signal);
  if (result.ok) job.onAcknowledged(file.size);
  return result;
}

const inTheWay: Problem = { code: 'changed', status: 412, title: '', detail: '', path: null, retryAfter: null };

async function sendParts(job: Job): Promise<Result<Node>> {
  const { path, file, condition, signal } = job;
  // What is in the way is known before gigabytes have gone.
  if (condition === 'new') {
    const there = await api.node(path);
    if (there.ok) return { ok: false, problem: inTheWay };
    if (there.problem.code !== 'not-found') return there;
  }
  const begin = await goOnOrBegin(job);
  if (!begin.ok) return begin;
  const { id, part_bytes, have } = begin.value;
  const count = Math.max(1, Math.ceil(file.size / part_bytes));
  const sizeOf = (number: number) => Math.min(part_bytes, file.size - (number - 1) * part_bytes);
  let acknowledged = 0;
  const missing: number[] = [];
  for (let number = 1; number <= count; number += 1) {
    if (have.get(number) === sizeOf(number)) acknowledged += sizeOf(number);
    else missing.push(number);
  }
  job.onAcknowledged(acknowledged);
  for (const number of missing) {
    const from = (number - 1) * part_bytes;
    const sent = await api.putPart(id, number, file.slice(from, from + sizeOf(number)), signal);
    if (!sent.ok) {
      if (isFinal(sent.problem)) begun.set(keyOf(job), null);
      return sent;
    }
    acknowledged += sizeOf(number);
    job.onAcknowledged(acknowledged);
  }
  const done = await api.finishUpload(id, path, file.size, condition, file.lastModified);
  // A conflict can be answered, and the parts are there for that.
  if (done.ok || (isFinal(done.problem) && done.problem.code !== 'changed')) begun.set(keyOf(job), null);
  return done;
}

/** Whether trying the same again cannot help. */
export const isFinal = (problem: Problem): boolean =>
  problem.status >= 400 && problem.status < 500 && ![401, 408, 423, 425, 429].includes(problem.status);

async function goOnOrBegin(job: Job): Promise<Result<Begun & { have: Map<number, number> }>> {
  const key = keyOf(job);
  const kept = begun.get(key);
  if (kept) {
    const there = await api.uploadedParts(kept.id);
    if (there.ok) {
      const have = new Map(there.value.parts.map((part) => [part.number, part.size]));
      return { ok: true, value: { ...kept, have } };
    }
    if (!isFinal(there.problem)) return there;
  }
  const fresh = await api.beginUpload(job.path, job.file.size);
  if (!fresh.ok) return fresh;
  begun.set(key, fresh.value);
  return { ok: true, value: { ...fresh.value, have: new Map() } };
}

/** Gives up what the server keeps of a file that will not come. */
export async function forget(job: Pick<Job, 'path' | 'file'>): Promise<void> {
  const kept = begun.get(keyOf(job));
  if (!kept) return;
  begun.set(keyOf(job), null);
  await api.dropUpload(kept.id);
}
