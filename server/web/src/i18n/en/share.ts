import type { Catalogue } from '../fr';

export const share: Catalogue['share'] = {
  title: 'Shares',
};
