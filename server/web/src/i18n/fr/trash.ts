export const trash = {
  title: 'Corbeille',
};
