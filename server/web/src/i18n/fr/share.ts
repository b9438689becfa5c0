export const share = {
  title: 'Partages',
};
