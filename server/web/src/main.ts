/* The beginning: words and session are fetched side by side, then the page is drawn. */

import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { loadLanguage } from './i18n/index';
import { onSignedOut } from './lib/api';
import { folder } from './lib/folder.svelte';
import { loadSession, signInAgain } from './lib/session.svelte';
import { applyTheme } from './lib/theme';
import { followLinks, routeOf } from './routes';

applyTheme();
onSignedOut(signInAgain);
// The list is asked for before anybody knows who asks: the answer is there when the page is drawn.
const place = routeOf(new URL(location.href));
if (place.page === 'files') void folder.open(place.path);
const [isSignedIn] = await Promise.all([loadSession(), loadLanguage()]);
followLinks();
mount(App, { target: document.getElementById('app')!, props: { isSignedIn } });
