/* The server's feed: says that something has changed, so that nobody has to press reload. */

import { getSession } from './api';
import { changed } from './folder.svelte';

export function listen(): () => void {
  const events = new EventSource('/api/v1/events');
  events.addEventListener('changed', changed);
  events.addEventListener('bye', () => void getSession());
  // After a gap anything may have happened.
  let hadGap = false;
  events.addEventListener('error', () => (hadGap = true));
  events.addEventListener('open', () => {
    if (hadGap) changed();
    hadGap = false;
  });
  return () => events.close();
}
