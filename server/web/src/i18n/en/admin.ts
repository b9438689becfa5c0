import type { Catalogue } from '../fr';

export const admin: Catalogue['admin'] = {
  title: 'Administration',
};
