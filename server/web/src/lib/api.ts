/*
 * The server's calls below /api/v1: one typed function for each, errors as values.
 *
 * A call never throws. Who is no longer signed in is led to the sign-in page by `whenSignedOut`; a mark that has grown
 * old is asked for again and the call repeated once.
 */

const BASE = '/api/v1';

/** Why a call was refused (RFC 9457); `offline`: no answer came at all; `aborted`: we gave it up ourselves. */
export interface Problem {
  code: string;
  status: number;
  title: string;
  detail: string;
  path: string | null;
  /** How long to wait before the next try, in seconds. */
  retryAfter: number | null;
  missing_bytes?: number;
  quota_bytes?: number;
  used_bytes?: number;
}

export type Result<T> = { ok: true; value: T } | { ok: false; problem: Problem };

export interface Person {
  name: string;
  display_name: string;
}

export interface Quota {
  used_bytes: number;
  quota_bytes: number | null;
}

export interface Session {
  user: Person & { email: string | null; is_admin: boolean };
  mark: string;
  quota: Quota;
  server: { name: string; version: string; color: string; url: string };
  limits: { part_bytes: number; plain_upload_bytes: number; selection: number; password_characters_min: number };
}

/** Through what somebody else's folder came here. */
export interface Mount {
  kind: 'share' | 'group';
  owner: Person;
  from: Person;
}

/** What the caller may do with a node, as bits of one number. */
export const MAY = { read: 1, update: 2, create: 4, delete: 8, share: 16 } as const;

/** With whom a node is shared, as bits of one number. */
export const SHARED = { people: 1, groups: 2, link: 4 } as const;

export const FILE = 0;
export const FOLDER = 1;

export interface Columns {
  id: number[];
  name: string[];
  kind: number[];
  size: number[];
  modified: number[];
  etag: string[];
  permissions: number[];
  favorite: number[];
  shared: number[];
  mount: (Mount | null)[];
}

export interface Listing {
  path: string;
  id: number;
  etag: string;
  name: string;
  permissions: number;
  owner: Person;
  quota: Quota | null;
  mount: Mount | null;
  count: number;
  columns: Columns;
}

export interface Node {
  id: number;
  path: string;
  name: string;
  kind: number;
  size: number;
  modified: number;
  created: number;
  etag: string;
  permissions: number;
  favorite: boolean;
  shared: number;
  mount: Mount | null;
  owner: Person;
  files?: number;
}

export interface Paged<T> {
  items: T[];
  next: string | null;
}

/** What became of one item of many. */
export type Outcome<T> = ({ ok: true } & T) | { ok: false; problem: Problem };
export interface Outcomes<T> {
  results: Outcome<T>[];
}

export interface Pair {
  from: string;
  to: string;
}

export interface Trashed {
  id: string;
  name: string;
  kind: number;
  size: number;
  deleted: number;
  from: string;
  /** As people see them. */
  deleted_by: string | null;
}

export interface Version {
  number: number;
  modified: number;
  size: number;
  label: string | null;
  by: string | null;
}

export interface Share {
  id: number;
  kind: 'person' | 'group' | 'link';
  receiver: Person | null;
  node: { id: number; name: string; kind: number; path: string | null };
  from: Person;
  owner: Person;
  permissions: number;
  may_download: boolean;
  note: string;
  label: string;
  last_day: string | null;
  made: number;
  url: string | null;
  has_password: boolean;
  downloads: number;
  last_used: number | null;
  may_change: boolean;
}

export interface NewShare {
  path: string;
  kind: Share['kind'];
  receiver: string | null;
  permissions: number | null;
  may_download: boolean;
  note: string;
  label: string;
  last_day: string | null;
  endless: boolean;
  password: string | null;
  address: string | null;
}

export interface Sharee {
  kind: 'person' | 'group';
  name: string;
  display_name: string;
  detail: string | null;
}

export interface Who {
  sentence: string;
  /** Whether these are all; else there may be others, of whom the caller may not know. */
  is_whole: boolean;
}

export interface Activity {
  id: number | string;
  sentence: string;
  when: number;
  kind: string;
  path: string | null;
}

export interface Device {
  id: string;
  label: string;
  made: number;
  last_used: number | null;
  is_read_only: boolean;
  expires: number | null;
  /** Told to delete its files, and has not said yet that it has. */
  is_wiping: boolean;
}

export interface BrowserSession {
  id: string;
  agent: string;
  made: number;
  last_used: number;
  is_this: boolean;
}

export interface Account extends Person {
  email: string | null;
  is_admin: boolean;
  is_disabled: boolean;
  quota: Quota;
  /** Its own limit; `null`: the usual one. */
  own_quota_bytes: number | null;
  made: number;
}

export interface Group {
  name: string;
  members: number;
  quota: Quota | null;
}

export type Role = 'reader' | 'member' | 'manager';

export interface Overview {
  version: string;
  uptime_seconds: number;
  users: number;
  files: number;
  logical_bytes: number;
  unique_bytes: number | null;
  jobs: { name: string; last: number | null; state: string }[];
}

type Query = Record<string, string | number | null | undefined | string[]>;

interface Options {
  query?: Query;
  json?: unknown;
  body?: BodyInit;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

let mark = '';
let whenSignedOut: () => void = () => {};

/** Says what to do when the server no longer knows who is calling. */
export function onSignedOut(act: () => void): void {
  whenSignedOut = act;
}

/** The address of a call, for links and pictures. */
export function address(path: string, query: Query = {}): string {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) value.forEach((one) => fields.append(name, one));
    else if (value !== null && value !== undefined) fields.append(name, String(value));
  }
  const text = fields.toString();
  return `${BASE}${path}${text ? `?${text}` : ''}`;
}

function trouble(code: string, status: number, detail = ''): Problem {
  return { code, status, title: '', detail, path: null, retryAfter: null };
}

async function problemOf(response: Response): Promise<Problem> {
  const wait = Number(response.headers.get('Retry-After'));
  const problem = trouble(`status-${response.status}`, response.status);
  problem.retryAfter = Number.isFinite(wait) && wait > 0 ? wait : null;
  try {
    const told = (await response.json()) as Partial<Problem>;
    return { ...problem, ...told, status: response.status };
  } catch {
    return problem;
  }
}

async function send(method: string, path: string, options: Options): Promise<Result<Response>> {
  const headers: Record<string, string> = {
    Accept: 'application/json',
    // Refusals come in the language of the page, whatever the browser would ask for.
    'Accept-Language': document.documentElement.lang,
    ...options.headers,
  };
  if (method !== 'GET') headers['X-Nuage-Mark'] = mark;
  if (options.json !== undefined) headers['Content-Type'] = 'application/json';
  try {
    const response = await fetch(address(path, options.query), {
      method,
      headers,
      body: options.json !== undefined ? JSON.stringify(options.json) : options.body,
      signal: options.signal,
      credentials: 'same-origin',
      cache: 'no-store',
    });
    if (response.ok || response.status === 304) return { ok: true, value: response };
    return { ok: false, problem: await problemOf(response) };
  } catch {
    const code = options.signal?.aborted ? 'aborted' : 'offline';
    return { ok: false, problem: trouble(code, 0) };
  }
}

/** Calls the server; an old mark is asked for again and the call repeated once. */
async function answer(method: string, path: string, options: Options = {}): Promise<Result<Response>> {
  let result = await send(method, path, options);
  if (!result.ok && result.problem.code === 'bad-mark' && (await getSession()).ok) {
    result = await send(method, path, options);
  }
  if (!result.ok && result.problem.status === 401) whenSignedOut();
  return result;
}

async function call<T>(method: string, path: string, options: Options = {}): Promise<Result<T>> {
  const result = await answer(method, path, options);
  if (!result.ok) return result;
  if (result.value.status === 204) return { ok: true, value: undefined as T };
  try {
    return { ok: true, value: (await result.value.json()) as T };
  } catch {
    return { ok: false, problem: trouble('offline', 0) };
  }
}

/** Asks who is signed in, and keeps the mark for the calls that change something. */
export async function getSession(): Promise<Result<Session>> {
  const result = await call<Session>('GET', '/session');
  if (result.ok) mark = result.value.mark;
  return result;
}

export const signOut = () => call<void>('DELETE', '/session');

/** Lists a folder; `unchanged`: it is as the ETag says. */
export async function list(
  path: string,
  etag: string | null = null,
  signal?: AbortSignal,
): Promise<Result<Listing | 'unchanged'>> {
  const headers: Record<string, string> = etag ? { 'If-None-Match': etag } : {};
  const result = await answer('GET', '/list', { query: { path }, headers, signal });
  if (!result.ok) return result;
  if (result.value.status === 304) return { ok: true, value: 'unchanged' };
  try {
    const listing = (await result.value.json()) as Listing;
    // What is sent back is the header, which says what the bytes are; the field names the folder's content.
    return { ok: true, value: { ...listing, etag: result.value.headers.get('ETag') ?? listing.etag } };
  } catch {
    return { ok: false, problem: trouble('offline', 0) };
  }
}

export const node = (path: string) => call<Node>('GET', '/node', { query: { path } });
export const nodeById = (id: number) => call<Node>('GET', '/node', { query: { id } });

export const contentUrl = (path: string, inline = false) => address('/content', { path, as: inline ? 'inline' : null });
export const archiveUrl = (path: string) => address('/archive', { path });

/** The fields of the form that asks for some children of a folder as a ZIP, with a mark that is of now. */
export async function archiveForm(path: string, names: string[]): Promise<{ action: string; fields: [string, string][] }> {
  await getSession();
  const chosen = names.map((name): [string, string] => ['name', name]);
  return { action: address('/archive', {}), fields: [['mark', mark], ['path', path], ...chosen] };
}
export const previewUrl = (id: number, width: number, height: number, etag = '') =>
  address('/preview', { id, width, height, v: etag.slice(0, 12) || null });

/** Reads a file of at most `limit` bytes as text, with the ETag to save it under. */
export async function readText(path: string): Promise<Result<{ text: string; etag: string }>> {
  return textOf(await answer('GET', '/content', { query: { path }, headers: { Accept: '*/*' } }));
}

async function textOf(result: Result<Response>): Promise<Result<{ text: string; etag: string }>> {
  if (!result.ok) return result;
  try {
    const text = await result.value.text();
    return { ok: true, value: { text, etag: result.value.headers.get('ETag') ?? '' } };
  } catch {
    return { ok: false, problem: trouble('offline', 0) };
  }
}

/** On what condition content is written: `new`: nothing may be there; else an ETag that must still hold. */
export type Condition = 'new' | { etag: string };

const quoted = (etag: string) => (/^(W\/)?"/.test(etag) ? etag : `"${etag}"`);

export function putContent(
  path: string,
  body: Blob | string,
  condition: Condition,
  modified: number | null,
  signal?: AbortSignal,
): Promise<Result<Node>> {
  const headers: Record<string, string> =
    condition === 'new' ? { 'If-None-Match': '*' } : { 'If-Match': quoted(condition.etag) };
  if (modified !== null) headers['X-Nuage-Modified'] = String(Math.round(modified));
  headers['Content-Type'] = 'application/octet-stream';
  return call<Node>('PUT', '/content', { query: { path }, body, headers, signal });
}

export const beginUpload = (path: string, size: number) =>
  call<{ id: string; part_bytes: number }>('POST', '/uploads', { json: { path, size } });
export const putPart = (id: string, number: number, body: Blob, signal?: AbortSignal) =>
  call<void>('PUT', `/uploads/${encodeURIComponent(id)}/${number}`, {
    body,
    signal,
    headers: { 'Content-Type': 'application/octet-stream' },
  });
export const uploadedParts = (id: string) =>
  call<{ parts: { number: number; size: number }[] }>('GET', `/uploads/${encodeURIComponent(id)}`);
/** Joins the parts; only now is the file seen. */
export const finishUpload = (id: string, path: string, size: number, condition: Condition, modified: number | null) =>
  call<Node>('POST', `/uploads/${encodeURIComponent(id)}`, {
    json: {
      path,
      size,
      modified: modified === null ? null : Math.round(modified),
      if_match: condition === 'new' ? null : condition.etag,
      is_new: condition === 'new',
    },
  });
export const dropUpload = (id: string) => call<void>('DELETE', `/uploads/${encodeURIComponent(id)}`);

export const makeFolder = (path: string) => call<Node>('POST', '/folders', { json: { path } });
export const move = (items: Pair[], overwrite = false) =>
  call<Outcomes<{ node: Node }>>('POST', '/move', { json: { items, overwrite } });
export const copy = (items: Pair[], overwrite = false) =>
  call<Outcomes<{ node: Node }>>('POST', '/copy', { json: { items, overwrite } });
export const remove = (paths: string[]) =>
  call<Outcomes<{ trashed: string | null }>>('POST', '/delete', { json: { paths } });

export const trash = (after: string | null = null) => call<Paged<Trashed>>('GET', '/trash', { query: { after } });
export const restore = (ids: string[]) => call<Outcomes<{ node: Node }>>('POST', '/trash/restore', { json: { ids } });
export const discard = (ids: string[]) => call<Outcomes<object>>('POST', '/trash/discard', { json: { ids } });
export const emptyTrash = () => call<void>('POST', '/trash/empty');

export const versions = (id: number) => call<{ node: Node; versions: Version[] }>('GET', '/versions', { query: { id } });
export const versionUrl = (id: number, number: number) => address('/versions/content', { id, number });
export const readVersion = async (id: number, number: number) =>
  textOf(await answer('GET', '/versions/content', { query: { id, number }, headers: { Accept: '*/*' } }));
export const restoreVersion = (id: number, number: number) =>
  call<Node>('POST', '/versions/restore', { json: { id, number } });
export const labelVersion = (id: number, number: number, label: string) =>
  call<void>('POST', '/versions/label', { json: { id, number, label } });
export const discardVersion = (id: number, number: number) =>
  call<void>('POST', '/versions/discard', { json: { id, number } });

export const search = (q: string, path: string | null = null, after: string | null = null, signal?: AbortSignal) =>
  call<Paged<Node>>('GET', '/search', { query: { q, path, after }, signal });
export const favorites = (after: string | null = null) => call<Paged<Node>>('GET', '/favorites', { query: { after } });
export const recent = (after: string | null = null) => call<Paged<Node>>('GET', '/recent', { query: { after } });
export const setFavorite = (paths: string[], favorite: boolean) =>
  call<Outcomes<object>>('POST', '/favorites', { json: { paths, favorite } });

export const sharesOf = (path: string) => call<{ shares: Share[] }>('GET', '/shares', { query: { path } });
export const shares = (which: 'mine' | 'to-me') => call<{ shares: Share[] }>('GET', '/shares', { query: { which } });
export const makeShare = (share: NewShare) => call<Share>('POST', '/shares', { json: share });
export const changeShare = (id: number, change: Partial<Omit<NewShare, 'path' | 'kind' | 'receiver' | 'endless'>>) =>
  call<Share>('PATCH', `/shares/${id}`, { json: change });
export const endShare = (id: number) => call<void>('DELETE', `/shares/${id}`);
export const people = (q: string, signal?: AbortSignal) =>
  call<{ people: Sharee[]; more: boolean }>('GET', '/people', { query: { q }, signal });
export const who = (path: string) => call<Who>('GET', '/who', { query: { path } });
export const activity = (path: string | null = null, after: string | null = null) =>
  call<Paged<Activity>>('GET', '/activity', { query: { path, after } });

export const devices = () => call<{ devices: Device[] }>('GET', '/devices');
export const makeDevice = (label: string, is_read_only: boolean) =>
  call<{ id: string; secret: string }>('POST', '/devices', { json: { label, is_read_only } });
/** `wipe`: the device is also told to delete what it holds. */
export const endDevice = (id: string, wipe = false) =>
  call<void>('DELETE', `/devices/${encodeURIComponent(id)}`, { query: { wipe: wipe ? 1 : null } });
export const sessions = () => call<{ sessions: BrowserSession[] }>('GET', '/sessions');
export const endSession = (id: string) => call<void>('DELETE', `/sessions/${encodeURIComponent(id)}`);
export const changePassword = (old: string, fresh: string) =>
  call<void>('POST', '/password', { json: { old, new: fresh } });

export const users = (q = '', after: string | null = null) =>
  call<Paged<Account>>('GET', '/admin/users', { query: { q, after } });
export const makeUser = (user: {
  name: string;
  display_name: string;
  email: string | null;
  password: string | null;
  is_admin: boolean;
  quota_bytes: number | null;
}) => call<Account & { password?: string }>('POST', '/admin/users', { json: user });
export const changeUser = (
  name: string,
  change: Partial<{
    is_disabled: boolean;
    /** 0: the usual one. */
    quota_bytes: number;
    password: string;
  }>,
) => call<Account>('PATCH', `/admin/users/${encodeURIComponent(name)}`, { json: change });
/** `handTo`: who gets the files. */
export const removeUser = (name: string, handTo: string | null) =>
  call<void>('DELETE', `/admin/users/${encodeURIComponent(name)}`, { query: { hand_to: handTo } });
export const groups = () => call<Paged<Group>>('GET', '/admin/groups');
export const makeGroup = (name: string, quota_bytes: number | null) =>
  call<Group>('POST', '/admin/groups', { json: { name, quota_bytes } });
export const removeGroup = (name: string) => call<void>('DELETE', `/admin/groups/${encodeURIComponent(name)}`);
export const members = (group: string) =>
  call<Paged<Person & { role: Role }>>('GET', `/admin/groups/${encodeURIComponent(group)}/members`);
export const putMember = (group: string, user: string, role: Role) =>
  call<void>('PUT', `/admin/groups/${encodeURIComponent(group)}/members/${encodeURIComponent(user)}`, {
    json: { role },
  });
export const removeMember = (group: string, user: string) =>
  call<void>('DELETE', `/admin/groups/${encodeURIComponent(group)}/members/${encodeURIComponent(user)}`);
/** Links of everybody that lack these, the oldest first. */
export const allLinks = (without: ('password' | 'end')[], after: string | null = null) =>
  call<Paged<Share>>('GET', '/admin/links', { query: { without, after } });
export const endLinks = (ids: number[]) => call<{ ended: number }>('POST', '/admin/links/end', { json: { ids } });
export const overview = () => call<Overview>('GET', '/admin/overview');
