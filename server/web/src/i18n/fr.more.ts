/* Français, pour les écrans qui sont chargés quand on les ouvre. */
import { account } from './fr/account';
import { admin } from './fr/admin';
import { share } from './fr/share';
import { trash } from './fr/trash';

export const more = { share, trash, account, admin };
