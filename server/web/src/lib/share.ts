/* What shares mean in words and days. (no DOM) */

import { FOLDER, MAY, type NewShare, type Share } from './api';

export type Role = 'view' | 'edit' | 'manage';
export type LinkRole = 'view' | 'edit' | 'drop';

const CHANGE = MAY.read | MAY.update;
const ARRANGE = MAY.create | MAY.delete;

/** What a role allows: in a file nothing can be made or deleted. */
export function permissionsOf(role: Role, kind: number): number {
  if (role === 'view') return MAY.read;
  const edit = kind === FOLDER ? CHANGE | ARRANGE : CHANGE;
  return role === 'edit' ? edit : edit | MAY.share;
}

export function linkPermissionsOf(role: LinkRole, kind: number): number {
  return role === 'drop' ? MAY.create : permissionsOf(role, kind);
}

/** The role that these permissions are; `null`: none of ours, made elsewhere. */
export function roleOf(permissions: number, kind: number): Role | null {
  const meant = kind === FOLDER ? permissions : permissions & ~ARRANGE;
  return (['view', 'edit', 'manage'] as const).find((role) => permissionsOf(role, kind) === meant) ?? null;
}

export function linkRoleOf(permissions: number): LinkRole {
  if (!(permissions & MAY.read)) return 'drop';
  return permissions & MAY.update ? 'edit' : 'view';
}

/** The roles that somebody with these permissions can give. */
export function rolesFor(own: number, kind: number): Role[] {
  const roles: Role[] = ['view', 'edit', 'manage'];
  return roles.filter((role) => (permissionsOf(role, kind) & ~own) === 0);
}

export function linkRolesFor(own: number, kind: number): LinkRole[] {
  const roles: LinkRole[] = kind === FOLDER ? ['view', 'edit', 'drop'] : ['view', 'edit'];
  return roles.filter((role) => (linkPermissionsOf(role, kind) & ~own) === 0);
}

/** A day as the server writes it: `2026-12-31`, by the clock of the reader. */
export function dayText(day: Date): string {
  const two = (number: number) => String(number).padStart(2, '0');
  return `${String(day.getFullYear()).padStart(4, '0')}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}

/** Noon of a day: no change of clocks moves it to another. */
export function dayOf(text: string): Date {
  const [year = 0, month = 1, day = 1] = text.split('-').map(Number);
  return new Date(year, month - 1, day, 12);
}

export function inDays(days: number, today = new Date()): string {
  return dayText(new Date(today.getFullYear(), today.getMonth(), today.getDate() + days, 12));
}

/** The next fifth of July, when the school year is over. */
export function endOfSchoolYear(today = new Date()): string {
  const year = today.getFullYear();
  const isOver = dayText(today) > dayText(new Date(year, 6, 5, 12));
  return dayText(new Date(isOver ? year + 1 : year, 6, 5, 12));
}

/** Days from today to a day; below 0: it is over. */
export function daysLeft(text: string, today = new Date()): number {
  const noon = new Date(today.getFullYear(), today.getMonth(), today.getDate(), 12);
  return Math.round((dayOf(text).getTime() - noon.getTime()) / 86_400_000);
}

/** Reads what somebody typed as day, month, year (`5/7/2027`, `05.07.27`), or as the server writes it; `null`: no such day. */
export function readDay(text: string): string | null {
  const iso = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(text.trim());
  const typed = /^(\d{1,2})[/. -](\d{1,2})[/. -](\d{4}|\d{2})$/.exec(text.trim());
  const [year, month, day] = iso ? iso.slice(1) : typed ? [typed[3], typed[2], typed[1]] : [];
  if (!year || !month || !day) return null;
  const full = year.length === 2 ? 2000 + Number(year) : Number(year);
  const found = new Date(full, Number(month) - 1, Number(day), 12);
  const isReal = found.getMonth() === Number(month) - 1 && found.getDate() === Number(day);
  return isReal ? dayText(found) : null;
}

/** Letters and digits that nobody confuses when reading them out. */
const SIGNS = 'abcdefghijkmnpqrstuvwxyz23456789';

/** A password by chance: four times four signs, 80 bits. */
export function makePassword(): string {
  const drawn = crypto.getRandomValues(new Uint8Array(16));
  const signs = Array.from(drawn, (byte) => SIGNS[byte % SIGNS.length]).join('');
  return signs.replace(/.{4}(?=.)/g, '$&-');
}

/** The same share with somebody once more, for taking back its end. */
export function sameAgain(share: Share, path: string): NewShare {
  return {
    path,
    kind: share.kind,
    receiver: share.receiver?.name ?? null,
    permissions: share.permissions,
    may_download: share.may_download,
    note: share.note,
    label: share.label,
    last_day: share.last_day,
    endless: share.last_day === null,
    password: null,
    address: null,
  };
}

/** Who can see something by these shares, to be said in a sentence. */
export interface Reach {
  people: string[];
  groups: string[];
  /** The strongest thing that somebody with a link can do; `null`: there is none. */
  link: LinkRole | null;
  /** Until when a link opens; `null`: without end. */
  linkEnd: string | null;
}

export function reachOf(shares: readonly Share[]): Reach {
  const named = (kind: Share['kind']) =>
    shares.filter((share) => share.kind === kind).map((share) => share.receiver?.display_name ?? '');
  const links = shares.filter((share) => share.kind === 'link');
  const order: LinkRole[] = ['edit', 'view', 'drop'];
  const roles = links.map((link) => linkRoleOf(link.permissions));
  const ends = links.map((link) => link.last_day);
  const isEndless = ends.includes(null);
  return {
    people: named('person'),
    groups: named('group'),
    link: order.find((role) => roles.includes(role)) ?? null,
    linkEnd: isEndless ? null : (ends.toSorted().at(-1) ?? null),
  };
}
