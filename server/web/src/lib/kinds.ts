/* What a file is, by its name: enough for an icon and for how to show it. */

import { FOLDER } from './api';
import type { IconName } from '../parts/Icon.svelte';

export type Kind = 'folder' | 'image' | 'pdf' | 'audio' | 'video' | 'markdown' | 'text' | 'archive' | 'other';

const ENDINGS: Record<Exclude<Kind, 'folder' | 'other'>, string> = {
  image: 'png jpg jpeg gif webp avif bmp ico',
  pdf: 'pdf',
  audio: 'mp3 ogg oga opus wav flac m4a aac weba',
  video: 'mp4 webm ogv mov m4v mkv',
  markdown: 'md markdown',
  text:
    'txt log csv tsv json xml yml yaml toml ini conf html htm css js ts jsx tsx svelte vue py rb rs go c h cpp hpp java kt ' +
    'sh bash zsh fish sql tex bib srt vtt svg diff patch rst adoc php pl lua r jl scala swift gitignore env properties',
  archive: 'zip tar gz tgz bz2 xz 7z rar zst',
};
const BY_ENDING = new Map<string, Kind>();
for (const [kind, endings] of Object.entries(ENDINGS)) {
  for (const ending of endings.split(' ')) BY_ENDING.set(ending, kind as Kind);
}

export function kindOf(name: string, kind = 0): Kind {
  if (kind === FOLDER) return 'folder';
  const ending = name.slice(name.lastIndexOf('.') + 1).toLowerCase();
  return BY_ENDING.get(ending) ?? 'other';
}

const ICONS: Record<Kind, IconName> = {
  folder: 'folder',
  image: 'image',
  pdf: 'text',
  audio: 'audio',
  video: 'video',
  markdown: 'text',
  text: 'text',
  archive: 'archive',
  other: 'file',
};

export const iconOf = (kind: Kind): IconName => ICONS[kind];

/** Whether the server may have a picture of it. */
export const hasPicture = (kind: Kind): boolean => kind === 'image' || kind === 'pdf' || kind === 'video';
