/*
 * The server's feed: says that something has changed, so that nobody has to press reload.
 *
 * A page that nobody looks at lets go of it: browsers open six connections to a server, and people more pages than that.
 */

import { getSession } from './api';
import { changed } from './folder.svelte';

const AGAIN_MS = 15_000;

export function listen(): () => void {
  let events: EventSource | null = null;
  // After a gap anything may have happened.
  let hadGap = false;
  let again: ReturnType<typeof setTimeout> | undefined;

  function open() {
    events = new EventSource('/api/v1/events');
    events.addEventListener('changed', changed);
    events.addEventListener('bye', () => void getSession());
    events.addEventListener('error', () => {
      hadGap = true;
      // A browser tries again by itself after a cut, not after a refusal.
      if (events?.readyState !== EventSource.CLOSED) return;
      events = null;
      again = setTimeout(look, AGAIN_MS);
    });
    events.addEventListener('open', () => {
      if (hadGap) changed();
      hadGap = false;
    });
  }

  function close() {
    clearTimeout(again);
    events?.close();
    events = null;
    hadGap = true;
  }

  function look() {
    if (document.hidden) close();
    else if (!events) open();
  }

  look();
  document.addEventListener('visibilitychange', look);
  return () => {
    document.removeEventListener('visibilitychange', look);
    close();
  };
}
