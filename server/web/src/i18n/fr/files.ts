export const files = {
  title: 'Fichiers',
};
