/* Français. Cette langue fait foi : l’autre a les mêmes clefs. Ce qu’il faut dès le premier dossier est ici, le reste dans `fr.more.ts`. */
import { files } from './fr/files';
import { shell } from './fr/shell';
import { upload } from './fr/upload';
import type { more } from './fr.more';

export const fr = { shell, files, upload };

export type Catalogue = typeof fr & typeof more;
