/* English. */
import type { Catalogue } from './fr';
import { shell } from './en/shell';
import { files } from './en/files';
import { upload } from './en/upload';
import { share } from './en/share';
import { trash } from './en/trash';
import { account } from './en/account';
import { admin } from './en/admin';

export const en: Catalogue = { shell, files, upload, share, trash, account, admin };
