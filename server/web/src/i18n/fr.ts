/* Français. Cette langue fait foi : l’autre a les mêmes clefs. */
import { shell } from './fr/shell';
import { files } from './fr/files';
import { upload } from './fr/upload';
import { share } from './fr/share';
import { trash } from './fr/trash';
import { account } from './fr/account';
import { admin } from './fr/admin';

export const fr = { shell, files, upload, share, trash, account, admin };

export type Catalogue = typeof fr;
