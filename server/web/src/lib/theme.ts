/* Light or dark: as the system says, unless somebody chose. */

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEPT = 'nuage-theme';

export function chosenTheme(): Theme {
  const kept = localStorage.getItem(KEPT);
  return THEMES.find((theme) => theme === kept) ?? 'auto';
}

export function applyTheme(theme: Theme = chosenTheme()): void {
  localStorage.setItem(KEPT, theme);
  document.documentElement.style.colorScheme = theme === 'auto' ? 'light dark' : theme;
}
