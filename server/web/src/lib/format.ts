/* Sizes and times as people write them, in the language of the page. */

import { language } from '../i18n/index';

const UNITS = {
  fr: ['o', 'Ko', 'Mo', 'Go', 'To', 'Po'],
  en: ['B', 'KB', 'MB', 'GB', 'TB', 'PB'],
};

/** `84 Ko`, `1,2 Go`: three digits at most, by thousands. */
export function size(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 999.5 && unit < 5) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : 1;
  return `${number(value, digits)}\u00a0${UNITS[language][unit]}`;
}

const numberFormats = new Map<string, Intl.NumberFormat>();

export function number(value: number, digits = 0): string {
  const key = `${language}${digits}`;
  let format = numberFormats.get(key);
  if (!format) numberFormats.set(key, (format = new Intl.NumberFormat(language, { maximumFractionDigits: digits })));
  return format.format(value);
}

type DateStyle = 'time' | 'day' | 'dayOfYear' | 'full';
const STYLES: Record<DateStyle, Intl.DateTimeFormatOptions> = {
  time: { hour: '2-digit', minute: '2-digit' },
  day: { day: 'numeric', month: 'short' },
  dayOfYear: { day: 'numeric', month: 'short', year: 'numeric' },
  full: { dateStyle: 'long', timeStyle: 'short' },
};
const dateFormats = new Map<string, Intl.DateTimeFormat>();

function date(at: number, style: DateStyle): string {
  const key = language + style;
  let format = dateFormats.get(key);
  if (!format) dateFormats.set(key, (format = new Intl.DateTimeFormat(language, STYLES[style])));
  return format.format(at);
}

/** Today by the hour, this year by the day, else with its year. */
export function when(at: number, now = Date.now()): string {
  const [then, today] = [new Date(at), new Date(now)];
  if (then.toDateString() === today.toDateString()) return date(at, 'time');
  return date(at, then.getFullYear() === today.getFullYear() ? 'day' : 'dayOfYear');
}

export const day = (at: number) => date(at, 'dayOfYear');
export const moment = (at: number) => date(at, 'full');

/** How long something takes still, roughly: `4 min`, `43 s`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))}\u00a0s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)}\u00a0min`;
  return `${number(seconds / 3600, 1)}\u00a0h`;
}
