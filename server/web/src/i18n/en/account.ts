import type { Catalogue } from '../fr';

export const account: Catalogue['account'] = {
  title: 'My account',
};
