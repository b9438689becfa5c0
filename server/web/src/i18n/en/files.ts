import type { Catalogue } from '../fr';

export const files: Catalogue['files'] = {
  title: 'Files',
};
