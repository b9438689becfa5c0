/* The words of the page in the language of its reader. A language is loaded before anything is drawn; changing it loads the page anew. */

import type { Catalogue } from './fr';

export const LANGUAGES = ['fr', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

const KEPT = 'nuage-language';

/** The words: those of the list are filled by `loadLanguage` before the first use, the others by `loadMore`. */
export let t: Catalogue;
export let language: Language = 'fr';

/** The language that somebody chose here, else the first of theirs that we speak, else French. */
export function chosenLanguage(kept: string | null, wanted: readonly string[]): Language {
  const known = (tag: string | null) => LANGUAGES.find((one) => tag?.toLowerCase().split('-')[0] === one);
  return known(kept) ?? wanted.map(known).find((one) => one !== undefined) ?? 'fr';
}

export async function loadLanguage(): Promise<void> {
  language = chosenLanguage(localStorage.getItem(KEPT), navigator.languages);
  t = (language === 'fr' ? (await import('./fr')).fr : (await import('./en')).en) as Catalogue;
  document.documentElement.lang = language;
}

/** Fetches the words of the screens that are loaded when they are opened; to be waited for before they are drawn. */
export async function loadMore(): Promise<void> {
  const { more } = language === 'fr' ? await import('./fr.more') : await import('./en.more');
  Object.assign(t, more);
}

/** Loads a screen together with its words. */
export async function withWords<T>(screen: Promise<T>): Promise<T> {
  const [loaded] = await Promise.all([screen, loadMore()]);
  return loaded;
}

export function chooseLanguage(tag: Language): void {
  localStorage.setItem(KEPT, tag);
  location.reload();
}
