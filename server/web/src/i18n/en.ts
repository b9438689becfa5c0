/* English: what the first folder needs; the rest is in `en.more.ts`. */
import { files } from './en/files';
import { shell } from './en/shell';
import { upload } from './en/upload';
import type { fr } from './fr';

export const en: typeof fr = { shell, files, upload };
