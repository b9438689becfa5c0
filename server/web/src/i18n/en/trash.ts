import type { Catalogue } from '../fr';

export const trash: Catalogue['trash'] = {
  title: 'Trash',
};
