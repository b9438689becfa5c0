/*
 * Everything that is being sent: what waits, what goes, what needs an answer.
 *
 * # Always true
 *
 * * Each file that was found ends as sent, skipped, given up by somebody, or failed with a reason that is shown. None is lost silently.
 * * What counts as sent is what the server has acknowledged.
 * * Nothing replaces what is there unless somebody said so, and then only the version that they were shown.
 */

import { t } from '../../i18n/index';
import * as api from '../api';
import type { Condition, Node, Problem } from '../api';
import { changed } from '../folder.svelte';
import { freeName, isWithin, join, nameOf, parentOf } from '../paths';
import { did, keepHereWhile, session, told } from '../session.svelte';
import { forget, isFinal, send } from './send';
import { Speed } from './speed';
import type { Found } from './walk';

export type State = 'waiting' | 'sending' | 'paused' | 'retrying' | 'conflict' | 'done' | 'skipped' | 'failed';
export type Answer = 'both' | 'replace' | 'skip';

export interface Upload {
  id: number;
  file: File;
  path: string;
  state: State;
  condition: Condition;
  acknowledged: number;
  attempts: number;
  /** Whether an answer was lost: it may have arrived without our knowing. */
  mayBeThere: boolean;
  /** When the next try comes, in milliseconds since 1970. */
  retryAt: number | null;
  reason: string;
  /** What is in the way. */
  inTheWay: Node | null;
  abort: AbortController | null;
}

/** Files on their way at once: a browser opens six connections, and one is the feed's. */
const LANES = 4;
/** How often one file is tried anew when the server has an answer, and that is no. */
const ATTEMPTS = 5;
const WAIT_MS = [500, 1000, 2000, 4000, 8000, 15_000, 30_000];
/** How often lists look again while files arrive, in milliseconds. */
const LOOK_MS = 1500;

class Uploader {
  /** Changes when anything has: the uploads themselves are plain objects, as there may be very many. */
  version = $state(0);
  isOpen = $state(false);
  isPaused = $state(false);
  /** Folders that are being walked. */
  walking = $state(0);
  readonly all: Upload[] = [];
  #next = 1;
  #active = 0;
  #folders = new Map<string, Promise<Problem | null>>();
  #made: string[] = [];
  #speed = new Speed();
  #forAll: Answer | null = null;
  #drawing = false;
  #lookedAt = 0;

  get total(): number {
    return this.all.reduce((sum, upload) => sum + upload.file.size, 0);
  }

  get acknowledged(): number {
    return this.all.reduce((sum, upload) => sum + upload.acknowledged, 0);
  }

  count(...states: State[]): number {
    return this.all.reduce((sum, upload) => sum + (states.includes(upload.state) ? 1 : 0), 0);
  }

  /** Whether something would be lost if the page were left. */
  get isBusy(): boolean {
    return this.walking > 0 || this.count('waiting', 'sending', 'retrying', 'conflict', 'paused') > 0;
  }

  /** Seconds until all is through; `null`: nobody can say. */
  get left(): number | null {
    const skipped = this.all.filter((upload) => ['skipped', 'failed'].includes(upload.state));
    const out = skipped.reduce((sum, upload) => sum + upload.file.size - upload.acknowledged, 0);
    return this.#speed.left(this.total - this.acknowledged - out, Date.now());
  }

  get rate(): number {
    return this.#speed.rate(Date.now());
  }

  /** Sends what was found into a folder; sending begins while it is still being found. */
  async add(found: AsyncIterable<Found>, target: string): Promise<void> {
    if (!this.isBusy) this.#begin();
    this.isOpen = true;
    this.walking += 1;
    for await (const { folder, file } of found) {
      const parent = folder.split('/').filter(Boolean).reduce(join, target);
      if (!file) {
        await this.#ensure(parent, target);
        continue;
      }
      this.all.push({
        id: this.#next++,
        file,
        path: join(parent, file.name),
        state: this.isPaused ? 'paused' : 'waiting',
        condition: 'new',
        acknowledged: 0,
        attempts: 0,
        mayBeThere: false,
        retryAt: null,
        reason: '',
        inTheWay: null,
        abort: null,
      });
      this.#targets.set(this.#next - 1, target);
      this.#draw();
      this.#pump();
    }
    this.walking -= 1;
    this.#draw();
    this.#look(true);
    this.#rest();
  }

  #targets = new Map<number, string>();

  /** A new round: what is through is no longer shown. */
  #begin(): void {
    this.all.length = 0;
    this.#firstWaiting = 0;
    this.#targets.clear();
    this.#folders.clear();
    this.#made = [];
    this.#forAll = null;
    this.isPaused = false;
  }

  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    setTimeout(() => {
      this.#drawing = false;
      this.version += 1;
    }, 60);
  }

  #look(now = false): void {
    if (!now && Date.now() - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = Date.now();
    changed();
  }

  #pump(): void {
    while (this.#active < LANES && !this.isPaused) {
      const upload = this.#nextWaiting();
      if (!upload) break;
      this.#active += 1;
      upload.state = 'sending';
      void this.#run(upload).finally(() => {
        this.#active -= 1;
        this.#draw();
        this.#pump();
        this.#rest();
      });
    }
    this.#draw();
  }

  /** Those before it do not wait; of very many, all are not gone through for each. */
  #firstWaiting = 0;

  #nextWaiting(): Upload | undefined {
    while (this.#firstWaiting < this.all.length) {
      const upload = this.all[this.#firstWaiting];
      if (upload?.state === 'waiting') return upload;
      this.#firstWaiting += 1;
    }
    // Some wait again.
    const again = this.all.findIndex((one) => one.state === 'waiting');
    this.#firstWaiting = again < 0 ? this.all.length : again;
    return this.all[again];
  }

  async #run(upload: Upload): Promise<void> {
    const abort = (upload.abort = new AbortController());
    upload.retryAt = null;
    const fault = await this.#ensure(parentOf(upload.path), this.#targets.get(upload.id) ?? '/');
    if (abort.signal.aborted) return;
    if (fault) return this.#refused(upload, fault);
    const limits = session.now!.limits;
    const result = await send(
      {
        path: upload.path,
        file: upload.file,
        condition: upload.condition,
        signal: abort.signal,
        onAcknowledged: (bytes) => {
          if (bytes > upload.acknowledged) this.#speed.add(bytes - upload.acknowledged, Date.now());
          upload.acknowledged = bytes;
          this.#draw();
        },
      },
      limits,
    );
    if (result.ok) return this.#arrived(upload, upload.condition === 'new');
    if (result.problem.status === 0 || result.problem.status >= 500) upload.mayBeThere = true;
    if (abort.signal.aborted) return;
    await this.#refused(upload, result.problem);
  }

  #arrived(upload: Upload, isNew: boolean): void {
    upload.acknowledged = upload.file.size;
    upload.state = 'done';
    if (isNew) this.#made.push(upload.path);
    this.#look();
  }

  async #refused(upload: Upload, problem: Problem): Promise<void> {
    upload.attempts += 1;
    if (problem.status === 401) {
      // The session is over: all waits until somebody has signed in again.
      upload.state = 'paused';
      this.pauseAll();
      return;
    }
    if (['changed', 'already-exists', 'is-a-folder'].includes(problem.code)) return this.#meet(upload);
    if (problem.code === 'parent-missing') this.#folders.clear();
    if (problem.status === 0 && !(await isReadable(upload.file))) {
      return this.#fail(upload, t.upload.unreadable);
    }
    const mayTry = problem.status === 0 || problem.code === 'parent-missing' || !isFinal(problem);
    const isFull = problem.status === 507;
    if (!mayTry || isFull || (problem.status !== 0 && upload.attempts >= ATTEMPTS)) {
      return this.#fail(upload, told(problem));
    }
    const wait = WAIT_MS[Math.min(upload.attempts, WAIT_MS.length) - 1] ?? 30_000;
    const spread = wait * (0.75 + Math.random() / 2);
    this.#retryIn(upload, Math.max(spread, (problem.retryAfter ?? 0) * 1000), told(problem));
  }

  #retryIn(upload: Upload, wait: number, reason: string): void {
    upload.state = 'retrying';
    upload.reason = reason;
    upload.retryAt = Date.now() + wait;
    const again = () => {
      clearTimeout(timer);
      removeEventListener('online', again);
      if (upload.state === 'retrying') this.retry(upload);
    };
    const timer = setTimeout(again, wait);
    addEventListener('online', again);
  }

  #fail(upload: Upload, reason: string): void {
    upload.state = 'failed';
    upload.reason = reason;
  }

  /** Something of that name is there: ours, if an answer got lost; else somebody must say what to do. */
  async #meet(upload: Upload): Promise<void> {
    const there = await api.node(upload.path);
    if (!there.ok) {
      if (there.problem.code === 'not-found' && upload.attempts < ATTEMPTS) {
        upload.condition = 'new';
        upload.state = 'waiting';
        return;
      }
      return this.#fail(upload, told(there.problem));
    }
    const node = there.value;
    const isOurs =
      upload.mayBeThere &&
      node.kind === api.FILE &&
      node.size === upload.file.size &&
      Math.abs(node.modified - upload.file.lastModified) < 1000;
    if (isOurs) return this.#arrived(upload, true);
    upload.inTheWay = node;
    upload.state = 'conflict';
    if (this.#forAll && !(this.#forAll === 'replace' && node.kind === api.FOLDER)) await this.resolve(upload, this.#forAll);
  }

  /** Does what somebody said about what is in the way. */
  async resolve(upload: Upload, answer: Answer, isForAll = false): Promise<void> {
    if (isForAll) {
      this.#forAll = answer;
      const others = this.all.filter((one) => one.state === 'conflict' && one !== upload);
      void Promise.all(others.map((one) => this.resolve(one, answer)));
    }
    const node = upload.inTheWay;
    if (upload.state !== 'conflict' || !node) return;
    if (answer === 'skip') {
      upload.state = 'skipped';
    } else if (answer === 'replace') {
      upload.condition = { etag: node.etag };
      upload.attempts = 0;
      upload.state = 'waiting';
    } else {
      upload.state = 'waiting';
      const parent = parentOf(upload.path);
      const listed = await api.list(parent);
      const names = new Set(listed.ok && listed.value !== 'unchanged' ? listed.value.columns.name : [node.name]);
      const taken = new Set(this.all.map((one) => one.path));
      const name = freeName(nameOf(upload.path), (one) => names.has(one) || taken.has(join(parent, one)));
      upload.path = join(parent, name);
      upload.mayBeThere = false;
      upload.condition = 'new';
      upload.attempts = 0;
    }
    upload.inTheWay = null;
    this.#draw();
    this.#pump();
    this.#rest();
  }

  /** Makes a folder and those above it, up to the place where things were dropped; each once. */
  #ensure(path: string, target: string): Promise<Problem | null> {
    if (isWithin(target, path)) return Promise.resolve(null);
    const known = this.#folders.get(path);
    if (known) return known;
    const made = (async () => {
      const above = await this.#ensure(parentOf(path), target);
      if (above) return above;
      const result = await api.makeFolder(path);
      if (result.ok) {
        this.#made.push(path);
        return null;
      }
      const { problem } = result;
      // A folder may be there already; a file in its place is found out by what is put into it.
      if (problem.code === 'already-exists') return null;
      this.#folders.delete(path);
      return problem;
    })();
    this.#folders.set(path, made);
    return made;
  }

  retry(upload: Upload): void {
    if (!['retrying', 'failed', 'paused'].includes(upload.state)) return;
    if (upload.state === 'failed') upload.attempts = 0;
    upload.state = 'waiting';
    upload.reason = '';
    this.isPaused = false;
    this.#pump();
  }

  retryFailed(): void {
    for (const upload of this.all) if (upload.state === 'failed') this.retry(upload);
  }

  pause(upload: Upload): void {
    if (!['waiting', 'sending', 'retrying'].includes(upload.state)) return;
    upload.state = 'paused';
    upload.abort?.abort();
    this.#draw();
  }

  pauseAll(): void {
    this.isPaused = true;
    for (const upload of this.all) this.pause(upload);
  }

  resumeAll(): void {
    this.isPaused = false;
    for (const upload of this.all) if (upload.state === 'paused') upload.state = 'waiting';
    this.#pump();
  }

  /** Gives a file up: what has come of it already is not kept. */
  cancel(upload: Upload): void {
    upload.abort?.abort();
    const at = this.all.indexOf(upload);
    if (at >= 0) this.all.splice(at, 1);
    if (upload.state !== 'done') void forget(upload);
    this.#draw();
    this.#rest();
  }

  cancelAll(): void {
    for (const upload of [...this.all]) if (!['done', 'skipped'].includes(upload.state)) this.cancel(upload);
  }

  close(): void {
    this.isOpen = false;
    if (!this.isBusy) this.#begin();
    this.#draw();
  }

  /** When all is through: says so once, with the way back. */
  #rest(): void {
    if (this.isBusy || this.#active > 0) return;
    this.#look(true);
    const made = this.#made.filter((path) => !this.#made.some((other) => other !== path && isWithin(path, other)));
    const done = this.count('done');
    this.#made = [];
    if (done === 0 || made.length === 0) return;
    did(t.upload.finished(done), async () => {
      const result = await api.remove(made);
      changed();
      return result.ok ? t.files.undone : told(result.problem);
    });
  }
}

async function isReadable(file: File): Promise<boolean> {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

export const uploader = new Uploader();
keepHereWhile(() => uploader.isBusy);
if (typeof addEventListener !== 'undefined') {
  addEventListener('beforeunload', (event) => {
    if (uploader.isBusy) event.preventDefault();
  });
}
