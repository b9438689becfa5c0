/* Who is signed in, and what everything on the page says to them: toasts, announcements, undo. */

import * as api from './api';
import type { Problem, Session } from './api';
import { t } from '../i18n/index';
import { UndoStack, type Undoable } from './undo';

export const session = $state<{ now: Session | null; isOver: boolean }>({ now: null, isOver: false });

export async function loadSession(): Promise<boolean> {
  const result = await api.getSession();
  if (!result.ok) return false;
  session.now = result.value;
  session.isOver = false;
  document.documentElement.style.setProperty('--brand', result.value.server.color);
  return true;
}

let keepsWork = () => false;

/** Says whether something would be lost by leaving the page. */
export function keepHereWhile(isBusy: () => boolean): void {
  keepsWork = isBusy;
}

/** Leads to the sign-in page and back; while something is being sent, a dialog asks first. */
export function signInAgain(): void {
  if (keepsWork()) session.isOver = true;
  else location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

export interface Toast {
  id: number;
  text: string;
  isWrong: boolean;
  step: Undoable | null;
}

class Toasts {
  // Kept as they are: a step is found again by being the same.
  list: Toast[] = $state.raw([]);
}

export const toasts = new Toasts();
export const spoken = $state({ text: '' });
export const undoStack = new UndoStack();

let nextToast = 1;

/** Says something to those who do not see the page; others see it anyway. */
export function announce(text: string): void {
  // The same words twice must be read twice.
  spoken.text = spoken.text === text ? `${text}\u00a0` : text;
}

function show(text: string, isWrong: boolean, step: Undoable | null): void {
  const toast: Toast = { id: nextToast++, text, isWrong, step };
  toasts.list = [...toasts.list, toast].slice(-3);
  announce(text);
  setTimeout(() => closeToast(toast.id), isWrong || step ? 12_000 : 6_000);
}

export function closeToast(id: number): void {
  toasts.list = toasts.list.filter((toast) => toast.id !== id);
}

export const say = (text: string) => show(text, false, null);
export const complain = (text: string) => show(text, true, null);

/** Says what was done and keeps the way back. */
export function did(said: string, undo: () => Promise<string>): void {
  const step = { said, undo };
  undoStack.push(step);
  show(said, false, step);
}

const underWay = new Set<Promise<unknown>>();

/** Lets an undo wait for a change that is under way: it shall take back that one, not the one before. */
export function track<A extends unknown[], T>(change: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
  return (...args) => {
    const work = change(...args);
    underWay.add(work);
    return work.finally(() => underWay.delete(work));
  };
}

/** Takes back the latest change, or the one named. */
export async function undo(step?: Undoable): Promise<void> {
  if (!step) await Promise.allSettled([...underWay]);
  const taken = undoStack.take(step);
  toasts.list = toasts.list.filter((toast) => !toast.step || toast.step !== taken);
  say(taken ? await taken.undo() : t.shell.nothingToUndo);
}

/** What a refusal means, in words. */
export function told(problem: Problem): string {
  const own = t.shell.problems[problem.code as keyof typeof t.shell.problems];
  return own ?? (problem.detail || problem.title || t.shell.problems.unknown);
}
