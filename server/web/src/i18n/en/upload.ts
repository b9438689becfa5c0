import type { Catalogue } from '../fr';

export const upload: Catalogue['upload'] = {
  title: 'Uploads',
};
