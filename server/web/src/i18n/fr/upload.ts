export const upload = {
  title: 'Envois',
};
