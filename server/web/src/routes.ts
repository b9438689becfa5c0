/* Which address shows which screen. History API, no hash: every address can be sent to somebody. */

import { writable } from 'svelte/store';

export type Route =
  | { page: 'files'; path: string; see: string | null }
  | { page: 'shared'; part: 'to-me' | 'mine' | 'links' }
  | { page: 'recent' }
  | { page: 'favorites' }
  | { page: 'trash' }
  | { page: 'versions'; id: number }
  | { page: 'search'; q: string; path: string | null }
  | { page: 'account'; part: string }
  | { page: 'admin'; part: string }
  | { page: 'nowhere' };

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Reads an address; `/files/A%20B?see=c.txt` is the folder `/A B` with a file opened over it. */
export function routeOf(url: URL): Route {
  const [first = '', second = '', ...rest] = url.pathname.split('/').slice(1);
  switch (first) {
    case '':
      return { page: 'files', path: '/', see: null };
    case 'files': {
      const names = [second, ...rest].filter(Boolean).map(decode);
      return { page: 'files', path: `/${names.join('/')}`, see: url.searchParams.get('see') };
    }
    case 'shared':
      return { page: 'shared', part: second === 'mine' || second === 'links' ? second : 'to-me' };
    case 'recent':
    case 'favorites':
    case 'trash':
      return { page: first };
    case 'versions':
      return { page: 'versions', id: Number(second) };
    case 'search':
      return { page: 'search', q: url.searchParams.get('q') ?? '', path: url.searchParams.get('in') };
    case 'account':
      return { page: 'account', part: second };
    case 'admin':
      return { page: 'admin', part: second };
    default:
      return { page: 'nowhere' };
  }
}

/** The address of a folder of the signed-in person; `see`: with this file of it opened. */
export function hrefOf(path: string, see: string | null = null): string {
  const tail = path.split('/').filter(Boolean).map(encodeURIComponent).join('/');
  return `/files${tail ? `/${tail}` : ''}${see === null ? '' : `?see=${encodeURIComponent(see)}`}`;
}

export function searchHref(q: string, path: string | null = null): string {
  const fields = new URLSearchParams({ q });
  if (path && path !== '/') fields.set('in', path);
  return `/search?${fields}`;
}

const here = typeof location === 'undefined' ? new URL('http://localhost/') : new URL(location.href);

/** The screen that is shown. */
export const route = writable<Route>(routeOf(here));

/** Goes to another address of the page. */
export function go(href: string, replace = false): void {
  if (replace) history.replaceState(null, '', href);
  else history.pushState(null, '', href);
  route.set(routeOf(new URL(location.href)));
}

/** Lets links lead to other screens without loading the page again. */
export function followLinks(): void {
  addEventListener('popstate', () => route.set(routeOf(new URL(location.href))));
  addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest('a');
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (routeOf(new URL(link.href)).page === 'nowhere') return;
    if (link.hash && link.pathname === location.pathname) return;
    event.preventDefault();
    go(link.href);
  });
}
