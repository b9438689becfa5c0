/* Sharing: the dialog, and the tables of what is shared with me, by me, and by links. */

import { equal } from './stage.js';

const shares = async (person, path) => (await person.call('GET', '/shares', { query: { path } })).shares;

export const tests = {
  async 'with a person, by mouse'(stage, { server }) {
    const { page, person } = stage;
    server.person('karim', ['--display-name', 'Karim Benali']);
    server.person('lea', ['--display-name', 'Léa Martin']);
    await person.folder('/Partage');
    await person.folder('/Partage/Évaluations');
    await stage.go('/files/Partage', '[role=grid]');
    await stage.row('Évaluations').click({ button: 'right' });
    await page.getByRole('menuitem', { name: 'Partager' }).click();
    const dialog = page.getByRole('dialog', { name: 'Partager « Évaluations »' });
    await dialog.getByRole('combobox', { name: 'Personne ou groupe' }).pressSequentially('ben');
    await page.getByRole('option', { name: 'Karim Benali' }).click();
    await dialog.getByLabel('Droits', { exact: true }).selectOption('Peut modifier');
    await dialog.getByText('Karim Benali pourra modifier').waitFor();
    await stage.look('share-add');
    await dialog.getByRole('button', { name: 'Partager', exact: true }).click();
    await dialog.getByText('Partagé avec Karim Benali.').waitFor();
    const [made] = await shares(person, '/Partage/Évaluations');
    equal([made.receiver.name, made.permissions, made.last_day], ['karim', 15, null]);
    // Changed in place.
    await dialog.getByLabel('Droits de Karim Benali').selectOption('Peut consulter');
    await dialog.getByText('Enregistré.').waitFor();
    await dialog.getByLabel('Fin pour Karim Benali').selectOption('other');
    await dialog.getByLabel('Dernier jour').fill('31/2/2027');
    await dialog.getByLabel('Dernier jour').press('Enter');
    await dialog.getByText('Écrivez un jour').waitFor();
    await dialog.getByLabel('Dernier jour').fill('5/7/2027');
    await dialog.getByLabel('Dernier jour').press('Enter');
    await stage.until('the end is kept', async () => {
      const [share] = await shares(person, '/Partage/Évaluations');
      return (share.permissions === 1 && share.last_day === '2027-07-05') || share;
    });
    // Twice to the same: the refusal stands at the field.
    await dialog.getByRole('combobox', { name: 'Personne ou groupe' }).pressSequentially('karim');
    await page.getByRole('option', { name: 'Karim Benali' }).click();
    await dialog.getByRole('button', { name: 'Partager', exact: true }).click();
    await dialog.getByText('C’est déjà partagé avec ce destinataire.').waitFor();
    await dialog.getByRole('button', { name: 'Retirer Karim Benali' }).click();
    await dialog.getByText('Personne pour l’instant.').waitFor();
    equal(await shares(person, '/Partage/Évaluations'), []);
  },

};
