/* English, for screens that are loaded when they are opened. */
import { account } from './en/account';
import { admin } from './en/admin';
import { share } from './en/share';
import { trash } from './en/trash';
import type { more as french } from './fr.more';

export const more: typeof french = { share, trash, account, admin };
