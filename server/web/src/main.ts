/* The beginning: words and session are fetched side by side, then the page is drawn. */

import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { loadLanguage } from './i18n/index';
import { onSignedOut } from './lib/api';
import { loadSession, signInAgain } from './lib/session.svelte';
import { applyTheme } from './lib/theme';
import { followLinks } from './routes';

applyTheme();
onSignedOut(signInAgain);
const [isSignedIn] = await Promise.all([loadSession(), loadLanguage()]);
followLinks();
mount(App, { target: document.getElementById('app')!, props: { isSignedIn } });
