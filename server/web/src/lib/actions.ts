/* What people do with files. Each change says what it did, leaves the way back, and lets lists look again. */

import { t } from '../i18n/index';
import * as api from './api';
import type { Outcome, Outcomes, Pair, Problem, Result } from './api';
import { ask } from './ask.svelte';
import { changed, folder } from './folder.svelte';
import type { Item } from './list';
import { faultOfName, freeName, isWithin, join, nameOf, parentOf } from './paths';
import { complain, did, say, session, told, track } from './session.svelte';

type Many<T> = (pairs: Pair[]) => Promise<Result<Outcomes<T>>>;

const limit = () => session.now?.limits.selection ?? 1000;

/** Asks in portions that the server takes; answers in the same order. */
export async function inPortions<I, T>(
  all: I[],
  send: (portion: I[]) => Promise<Result<Outcomes<T>>>,
): Promise<Outcome<T>[]> {
  const outcomes: Outcome<T>[] = [];
  for (let from = 0; from < all.length; from += limit()) {
    const portion = all.slice(from, from + limit());
    const result = await send(portion);
    if (result.ok) outcomes.push(...result.value.results);
    else outcomes.push(...portion.map(() => ({ ok: false as const, problem: result.problem })));
  }
  return outcomes;
}

export function complainOf(outcomes: Outcome<object>[]): void {
  const problems = outcomes.flatMap((outcome) => (outcome.ok ? [] : [outcome.problem]));
  const [first] = problems;
  if (first) complain(problems.length > 1 ? t.files.severalFailed(problems.length, told(first)) : told(first));
}

/** What an undo has to say. */
export function sum(outcomes: Outcome<object>[], said: string): string {
  const problem = outcomes.find((outcome): outcome is { ok: false; problem: Problem } => !outcome.ok);
  changed();
  return problem ? told(problem.problem) : said;
}

export const makeFolder = track(async (parent: string, name: string): Promise<boolean> => {
  const path = join(parent, name);
  const result = await api.makeFolder(path);
  if (!result.ok) {
    complain(told(result.problem));
    return false;
  }
  await folder.refresh();
  did(t.files.made(name), async () => sum(await inPortions([path], api.remove), t.files.undone));
  return true;
});

export const makeText = track(async (parent: string, name: string): Promise<boolean> => {
  const path = join(parent, name);
  const result = await api.putContent(path, '', 'new', null);
  if (!result.ok) {
    complain(result.problem.code === 'changed' ? t.shell.problems['already-exists'] : told(result.problem));
    return false;
  }
  await folder.refresh();
  did(t.files.made(name), async () => sum(await inPortions([path], api.remove), t.files.undone));
  return true;
});

/** Says why somebody cannot give a name; `null`: they can. */
export function nameFault(name: string): string | null {
  const fault = faultOfName(name);
  return fault && t.files.nameFaults[fault];
}

/** Asks for a name of something new. */
export function askName(title: string, name: string): Promise<string | null> {
  const input = { label: t.files.name, value: name, fault: nameFault };
  return ask({ title, text: '', choices: [{ key: 'ok', name: t.files.make, isMain: true }], input });
}

export const rename = track(async (item: Item, name: string): Promise<boolean> => {
  const to = join(parentOf(item.path), name);
  if (to === item.path) return true;
  const [outcome] = await inPortions([{ from: item.path, to }], (items) => api.move(items));
  if (!outcome?.ok) {
    if (outcome) complain(told(outcome.problem));
    return false;
  }
  await folder.refresh();
  changed();
  did(t.files.renamed(item.name, name), async () =>
    sum(await inPortions([{ from: to, to: item.path }], (items) => api.move(items)), t.files.undone),
  );
  return true;
});

/** Moves or copies each pair; what is in the way is asked about once. */
async function arrange(pairs: Pair[], send: Many<{ node: api.Node }>): Promise<{ done: Pair[]; all: Outcome<object>[] }> {
  const outcomes = await inPortions(pairs, send);
  const done = pairs.flatMap((pair, at) => {
    const outcome = outcomes[at];
    return outcome?.ok ? [{ from: pair.from, to: outcome.node?.path ?? pair.to }] : [];
  });
  const inTheWay = pairs.filter((_, at) => {
    const outcome = outcomes[at];
    return outcome && !outcome.ok && outcome.problem.code === 'already-exists';
  });
  const others = outcomes.filter((outcome) => outcome.ok || outcome.problem.code !== 'already-exists');
  if (inTheWay.length === 0) return { done, all: others };
  const choice = await ask({
    title: t.files.inTheWay,
    text: t.files.inTheWayText(nameOf(inTheWay[0]!.to), inTheWay.length),
    choices: [
      { key: 'skip', name: t.files.skip },
      { key: 'both', name: t.files.keepBoth, isMain: true },
    ],
  });
  if (choice !== 'both') return { done, all: others };
  for (const pair of inTheWay) {
    const parent = parentOf(pair.to);
    const listed = await api.list(parent);
    const names = new Set(listed.ok && listed.value !== 'unchanged' ? listed.value.columns.name : [nameOf(pair.to)]);
    const to = join(parent, freeName(nameOf(pair.to), (name) => names.has(name)));
    const [outcome] = await inPortions([{ from: pair.from, to }], send);
    if (outcome?.ok) done.push({ from: pair.from, to });
    if (outcome) others.push(outcome);
  }
  return { done, all: others };
}

export const moveTo = track(async (items: Item[], target: string): Promise<void> => {
  const moving = items.filter((item) => parentOf(item.path) !== target);
  if (moving.some((item) => isWithin(target, item.path))) return complain(t.shell.problems['into-itself']);
  if (moving.length === 0) return;
  folder.drop(new Set(moving.map((item) => item.path)));
  const pairs = moving.map((item) => ({ from: item.path, to: join(target, item.name) }));
  const { done, all } = await arrange(pairs, (some) => api.move(some));
  changed();
  complainOf(all);
  if (done.length === 0) return;
  did(t.files.moved(done.length, nameOf(target) || t.shell.myFiles), async () => {
    const back = done.map((pair) => ({ from: pair.to, to: pair.from }));
    return sum(await inPortions(back, (some) => api.move(some)), t.files.undone);
  });
});

export const copyTo = track(async (items: Item[], target: string): Promise<void> => {
  if (items.some((item) => item.path !== target && isWithin(target, item.path))) {
    return complain(t.shell.problems['into-itself']);
  }
  const here = folder.path === target ? folder.listing?.columns.name : undefined;
  const names = new Set(here);
  const pairs = items.map((item) => {
    // A copy beside its original needs a name of its own; nobody has to be asked for that.
    const isBeside = parentOf(item.path) === target;
    const name = isBeside ? freeName(item.name, (one) => one === item.name || names.has(one)) : item.name;
    names.add(name);
    return { from: item.path, to: join(target, name) };
  });
  const { done, all } = await arrange(pairs, (some) => api.copy(some));
  changed();
  complainOf(all);
  if (done.length === 0) return;
  did(t.files.copied(done.length, nameOf(target) || t.shell.myFiles), async () =>
    sum(
      await inPortions(
        done.map((pair) => pair.to),
        api.remove,
      ),
      t.files.undone,
    ),
  );
});

export const remove = track(async (items: Item[]): Promise<void> => {
  const paths = items.map((item) => item.path);
  folder.drop(new Set(paths));
  const outcomes = await inPortions(paths, api.remove);
  changed();
  complainOf(outcomes);
  const gone = outcomes.filter((outcome) => outcome.ok);
  const ids = gone.flatMap((outcome) => (outcome.ok && outcome.trashed !== null ? [outcome.trashed] : []));
  if (gone.length === 0) return;
  const said = gone.length === 1 ? t.files.removedOne(items[0]!.name) : t.files.removed(gone.length);
  if (ids.length === 0) return say(said);
  did(said, async () => sum(await inPortions(ids, api.restore), t.files.undone));
});

export const favorite = track(async (items: Item[], isOn: boolean): Promise<void> => {
  const paths = items.map((item) => item.path);
  const set = (on: boolean) => inPortions(paths, (some) => api.setFavorite(some, on));
  const outcomes = await set(isOn);
  changed();
  complainOf(outcomes);
  if (!outcomes.some((outcome) => outcome.ok)) return;
  const said = isOn ? t.files.starred(items.length) : t.files.unstarred(items.length);
  did(said, async () => sum(await set(!isOn), t.files.undone));
});

/** Lets the browser save: one file as it is, several or a folder as a ZIP. */
export function download(items: Item[]): void {
  const [first] = items;
  if (!first) return;
  const parent = parentOf(first.path);
  const together = items.filter((item) => parentOf(item.path) === parent);
  if (together.length > 1) void downloadTogether(parent, together);
  else followLink(first.kind === api.FILE ? api.contentUrl(first.path) : api.archiveUrl(first.path));
  if (together.length < items.length) say(t.files.downloadedSome(together.length, items.length));
}

function followLink(href: string): void {
  const link = document.createElement('a');
  link.href = href;
  link.download = '';
  document.body.append(link);
  link.click();
  link.remove();
}

/** Any number of names fits into a form. It is sent from a frame of its own, so that a refusal does not replace the page. */
async function downloadTogether(parent: string, items: Item[]): Promise<void> {
  const { action, fields } = await api.archiveForm(parent, items.map((item) => item.name));
  const frame = document.createElement('iframe');
  frame.name = `archive-${Date.now()}`;
  frame.hidden = true;
  const form = document.createElement('form');
  Object.assign(form, { method: 'post', action, target: frame.name, hidden: true });
  for (const [name, value] of fields) {
    form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
  }
  document.body.append(frame, form);
  form.submit();
  form.remove();
  // The download goes on without the frame, but a slow first byte must find it.
  setTimeout(() => frame.remove(), 60_000);
}
