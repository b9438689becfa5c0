import { expect, test } from 'vitest';
import { en } from '../../src/i18n/en';
import { more as enMore } from '../../src/i18n/en.more';
import { fr } from '../../src/i18n/fr';
import { more as frMore } from '../../src/i18n/fr.more';
import { chosenLanguage } from '../../src/i18n/index';

/** The way to each word of a catalogue, with what it is: a text, or how many things a sentence wants to know. */
function words(of: object, way = ''): string[] {
  return Object.entries(of).flatMap(([key, value]) =>
    typeof value === 'object' ? words(value as object, `${way}${key}.`) : [`${way}${key}: ${typeof value}`],
  );
}

test('both languages have the same words', () => {
  expect(words({ ...en, ...enMore }).sort()).toEqual(words({ ...fr, ...frMore }).sort());
});

test('no word is empty', () => {
  for (const catalogue of [fr, en, frMore, enMore]) expect(JSON.stringify(catalogue)).not.toContain('""');
});

test('French comes first where nothing else is asked for', () => {
  expect(chosenLanguage(null, [])).toBe('fr');
  expect(chosenLanguage(null, ['de-DE'])).toBe('fr');
  expect(chosenLanguage(null, ['de', 'en-GB', 'fr'])).toBe('en');
  expect(chosenLanguage('fr', ['en'])).toBe('fr');
  expect(chosenLanguage('xx', ['en'])).toBe('en');
});
