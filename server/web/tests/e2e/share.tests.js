/* Sharing: the dialog, and the tables of what is shared with me, by me, and by links. */

import { equal, Stage } from './stage.js';

const shares = async (person, path) => (await person.call('GET', '/shares', { query: { path } })).shares;

/** What a share needs to be told when nothing is special about it. */
const plain = { permissions: 1, note: '', label: '', last_day: null, endless: true };
const give = (person, path, receiver, more = {}) =>
  person.call('POST', '/shares', { json: { ...plain, path, kind: 'person', receiver, ...more } });
const link = (person, path, more = {}) => person.call('POST', '/shares', { json: { ...plain, path, kind: 'link', ...more } });

const openDialog = async (stage, name) => {
  await stage.row(name).click({ button: 'right' });
  await stage.page.getByRole('menuitem', { name: 'Partager' }).click();
  const dialog = stage.page.getByRole('dialog', { name: `Partager « ${name} »` });
  await dialog.waitFor();
  return dialog;
};

/** Goes on with Tab until the element with this name has the focus. */
async function tabTo(stage, role, name) {
  const wanted = stage.page.getByRole(role, { name, exact: true });
  for (let presses = 0; presses < 60; presses += 1) {
    if (await wanted.evaluateAll((all) => all.includes(document.activeElement))) return;
    await stage.page.keyboard.press('Tab');
  }
  throw new Error(`Tab never leads to the ${role} ${name}`);
}

export const tests = {
  async 'with a person, by mouse'(stage, { server }) {
    const { page, person } = stage;
    server.person('karim', ['--display-name', 'Karim Benali']);
    server.person('lea', ['--display-name', 'Léa Martin']);
    await person.folder('/Partage');
    await person.folder('/Partage/Évaluations');
    await stage.go('/files/Partage', '[role=grid]');
    const dialog = await openDialog(stage, 'Évaluations');
    await dialog.getByRole('combobox', { name: 'Personne ou groupe' }).pressSequentially('ben');
    await page.getByRole('option', { name: 'Karim Benali' }).waitFor();
    await stage.look('share-found');
    await page.getByRole('option', { name: 'Karim Benali' }).click();
    await dialog.getByLabel('Droits', { exact: true }).selectOption('Peut modifier');
    await dialog.getByText('Karim Benali pourra modifier').waitFor();
    await dialog.getByRole('button', { name: 'Ajouter un message' }).click();
    await dialog.getByLabel('Message', { exact: true }).fill('Pour vendredi.');
    await dialog.getByRole('button', { name: 'Partager', exact: true }).click();
    await dialog.getByText('Partagé avec Karim Benali.').last().waitFor();
    const [made] = await shares(person, '/Partage/Évaluations');
    equal([made.receiver.name, made.permissions, made.last_day, made.note], ['karim', 15, null, 'Pour vendredi.']);
    // Changed in place.
    await dialog.getByLabel('Droits de Karim Benali').selectOption('Peut consulter');
    await dialog.getByText('Enregistré.').waitFor();
    await dialog.getByLabel('Fin pour Karim Benali').selectOption('other');
    const day = dialog.getByLabel('Dernier jour');
    await day.fill('31/2/2027');
    await day.press('Enter');
    await dialog.getByText('Écrivez un jour').waitFor();
    await day.fill('5/7/2027');
    await day.press('Enter');
    await stage.until('the end is kept', async () => {
      const [share] = await shares(person, '/Partage/Évaluations');
      return (share.permissions === 1 && share.last_day === '2027-07-05') || share;
    });
    await stage.look('share-given');
    // Twice to the same: the refusal stands at the field.
    await dialog.getByRole('combobox', { name: 'Personne ou groupe' }).pressSequentially('karim');
    await page.getByRole('option', { name: 'Karim Benali' }).click();
    await dialog.getByRole('button', { name: 'Partager', exact: true }).click();
    await dialog.getByText('C’est déjà partagé avec ce destinataire.').waitFor();
    await dialog.getByRole('button', { name: 'Retirer Karim Benali' }).click();
    await dialog.getByText('Personne pour l’instant.').waitFor();
    equal(await shares(person, '/Partage/Évaluations'), []);
    await dialog.getByRole('button', { name: 'Annuler' }).click();
    await dialog.getByText('Karim Benali y a de nouveau accès.').waitFor();
    const [again] = await shares(person, '/Partage/Évaluations');
    equal([again.permissions, again.last_day, again.note], [1, '2027-07-05', 'Pour vendredi.']);
    // The list behind it tells at once.
    await page.keyboard.press('Escape');
    await stage.row('Évaluations').getByText('Personnes').waitFor();
  },

  async 'with a group, by keys alone'(stage) {
    const { page, person } = stage;
    await person.call('POST', '/admin/groups', { json: { name: 'Salle des profs' } });
    await person.folder('/Clavier partage');
    await person.file('/Clavier partage/sujet.txt');
    await stage.go('/files/Clavier%20partage', '[role=grid]');
    const { keyboard } = page;
    await page.locator('[role=grid] [tabindex="0"]').first().focus();
    await keyboard.press('ContextMenu');
    await page.getByRole('menuitem', { name: 'Partager' }).waitFor();
    await keyboard.type('p');
    await keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Partager « sujet.txt »' });
    await dialog.waitFor();
    await stage.until('a name can be written at once', () =>
      dialog.getByRole('combobox', { name: 'Personne ou groupe' }).evaluate((field) => field === document.activeElement),
    );
    await keyboard.type('salle');
    await page.getByRole('option', { name: 'Salle des profs' }).waitFor();
    // Esc closes the list alone; the arrow opens it again.
    await keyboard.press('Escape');
    await page.getByRole('option', { name: 'Salle des profs' }).waitFor({ state: 'hidden' });
    equal(await dialog.isVisible(), true, 'Esc in the list closed the dialog');
    await keyboard.press('ArrowDown');
    await page.getByRole('option', { name: 'Salle des profs' }).waitFor();
    await keyboard.press('Enter');
    await tabTo(stage, 'combobox', 'Droits');
    await keyboard.press('ArrowDown');
    await tabTo(stage, 'combobox', 'Fin');
    await keyboard.press('ArrowDown');
    await tabTo(stage, 'button', 'Partager');
    await keyboard.press('Enter');
    await dialog.getByText('Partagé avec Salle des profs.').last().waitFor();
    const [made] = await shares(person, '/Clavier partage/sujet.txt');
    equal([made.kind, made.receiver.name, made.permissions, made.last_day !== null], ['group', 'Salle des profs', 3, true]);
    await tabTo(stage, 'button', 'Retirer Salle des profs');
    await keyboard.press('Enter');
    await dialog.getByText('Personne pour l’instant.').waitFor();
    await keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  },

  async 'by a link, which is made, copied, changed and ended'(stage) {
    const { page, person } = stage;
    await stage.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await person.folder('/Liens');
    await person.folder('/Liens/Copies');
    await stage.go('/files/Liens', '[role=grid]');
    const dialog = await openDialog(stage, 'Copies');
    await dialog.getByRole('button', { name: 'Créer un lien' }).click();
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim());
    equal(await dialog.getByRole('radio', { name: 'Consulter' }).evaluate((radio) => radio === document.activeElement), true);
    await dialog.getByRole('button', { name: 'Annuler' }).click();
    await stage.until('the button has the focus again', async () => (await focused()) === 'Créer un lien' || (await focused()));
    await page.keyboard.press('Enter');
    await dialog.getByLabel('Autoriser le téléchargement').uncheck();
    await dialog.getByLabel('Nom du lien').fill('parents');
    await dialog.getByRole('button', { name: 'En proposer un' }).click();
    const password = await dialog.getByLabel('Mot de passe', { exact: true }).inputValue();
    equal(/^(\w{4}-){3}\w{4}$/.test(password), true, password);
    await stage.look('share-link-form');
    await dialog.getByRole('button', { name: 'Créer le lien' }).click();
    await dialog.getByText('Le lien est créé.').waitFor();
    await stage.until('one goes on at the address', async () => (await focused()) === 'Copier le lien parents' || (await focused()));
    const [made] = await shares(person, '/Liens/Copies');
    equal([made.permissions, made.may_download, made.label, made.has_password], [1, false, 'parents', true]);
    equal(made.last_day !== null, true, 'a link ends by itself unless one says otherwise');
    await dialog.getByRole('button', { name: 'Copier le lien parents' }).click();
    await dialog.getByText('Copié dans le presse-papiers.').waitFor();
    equal(await page.evaluate(() => navigator.clipboard.readText()), made.url);
    await stage.look('share-link');
    // For dropping only, without password and end.
    await dialog.getByRole('button', { name: 'Modifier parents' }).click();
    await dialog.getByRole('radio', { name: 'Déposer seulement' }).check();
    await dialog.getByLabel('Fin', { exact: true }).last().selectOption('none');
    await dialog.getByLabel('Retirer le mot de passe').check();
    await dialog.getByRole('button', { name: 'Enregistrer' }).click();
    await dialog.getByText('Enregistré.').waitFor();
    const [now] = await shares(person, '/Liens/Copies');
    equal([now.permissions, now.has_password, now.last_day, now.url], [4, false, null, made.url]);
    await dialog.getByRole('button', { name: 'Supprimer parents' }).click();
    await dialog.getByRole('button', { name: 'Supprimer le lien' }).click();
    await dialog.getByText('Le lien est supprimé.').waitFor();
    equal(await shares(person, '/Liens/Copies'), []);
  },

  async 'the tables: what I share, my links, taken back'(stage, { server }) {
    const { page, person } = stage;
    await stage.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    server.person('sami', ['--display-name', 'Sami Roux']);
    await person.folder('/Tables');
    await person.folder('/Tables/Conseil de classe');
    await person.file('/Tables/notes.csv');
    await give(person, '/Tables/Conseil de classe', 'sami', { permissions: 15, note: 'À relire', last_day: '2027-07-05' });
    await give(person, '/Tables/notes.csv', 'sami');
    const { url } = await link(person, '/Tables/notes.csv', { label: 'pour les parents' });
    await stage.go('/shared/mine', 'table');
    await stage.look('shared-mine');
    await page.getByRole('searchbox', { name: 'Filtrer' }).fill('conseil');
    equal(await page.locator('tbody tr').count(), 1);
    await page.getByRole('button', { name: 'Ne plus partager « Conseil de classe » avec Sami Roux' }).click();
    await stage.until('it is ended', async () => (await shares(person, '/Tables/Conseil de classe')).length === 0);
    await page.locator('.toast').getByRole('button', { name: 'Annuler' }).last().click();
    await stage.until('it is given again', async () => {
      const [share] = await shares(person, '/Tables/Conseil de classe');
      return (share?.permissions === 15 && share.note === 'À relire' && share.last_day === '2027-07-05') || share;
    });
    await page.getByRole('navigation', { name: 'Lieux' }).getByRole('link', { name: 'Mes liens' }).click();
    await page.getByRole('heading', { name: 'Mes liens' }).waitFor();
    await page.getByRole('button', { name: 'Copier le lien pour les parents' }).click();
    await page.locator('.toast').getByText('Copié').waitFor();
    equal(await page.evaluate(() => navigator.clipboard.readText()), url);
    await stage.look('shared-links');
    // By keys: sorted by name, then the dialog of the row, then its end.
    await tabTo(stage, 'button', 'Nom');
    await page.keyboard.press('Enter');
    equal(await page.getByRole('columnheader', { name: 'Nom' }).getAttribute('aria-sort'), 'ascending');
    await tabTo(stage, 'button', 'Supprimer pour les parents');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Supprimer ce lien ?' }).waitFor();
    await page.keyboard.press('Escape');
    equal((await shares(person, '/Tables/notes.csv')).length, 2, 'Esc ended a link');
    await tabTo(stage, 'button', 'Supprimer pour les parents');
    await page.keyboard.press('Enter');
    await tabTo(stage, 'button', 'Supprimer le lien');
    await page.keyboard.press('Enter');
    await stage.until('it is gone', async () => (await shares(person, '/Tables/notes.csv')).length === 1);
  },

  async 'what others share with me is found and left'(_, { browser, server }) {
    const [giver, taker] = ['nadia', 'olivier'].map((name) => server.person(name, ['--display-name', `${name} Petit`]));
    await giver.signIn();
    await giver.folder('/Sorties');
    await giver.file('/affiche.txt');
    await give(giver, '/Sorties', 'olivier', { permissions: 15, note: 'Le planning est dedans.' });
    await give(giver, '/affiche.txt', 'olivier');
    const stage = await Stage.open(browser, taker);
    const { page } = stage;
    await stage.go('/shared', 'table');
    await page.getByText('Le planning est dedans.').waitFor();
    await stage.look('shared-to-me');
    await page.getByRole('button', { name: 'Quitter « affiche.txt »' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Quitter', exact: true }).click();
    await stage.until('it is left', async () => (await taker.names('/')).join() === 'Sorties');
    await page.getByRole('link', { name: 'Sorties' }).click();
    await page.getByRole('heading', { name: 'Sorties' }).waitFor();
    await stage.close();
  },

  async 'refusals are said where one looks; the words of the server come first'(stage, { server }) {
    const { page, person, context } = stage;
    server.person('ines', ['--display-name', 'Inès Faure']);
    await person.folder('/Partage refusé');
    await person.folder('/Partage refusé/Projet');
    await context.route('**/api/v1/who?*', (route) =>
      route.fulfill({ json: { sentence: 'Vous et personne d’autre.', is_whole: false } }),
    );
    await stage.go('/files/Partage refusé', '[role=grid]');
    const dialog = await openDialog(stage, 'Projet');
    await dialog.getByText('Vous et personne d’autre.').waitFor();
    await dialog.getByText('D’autres peuvent y avoir accès').waitFor();
    const refuse = (route) => (route.request().method() === 'POST' ? route.fulfill({ status: 503, json: { code: 'unavailable' } }) : route.continue());
    await context.route('**/api/v1/shares**', refuse);
    await dialog.getByRole('button', { name: 'Partager', exact: true }).click();
    await dialog.getByText('Choisissez quelqu’un dans la liste.').waitFor();
    await dialog.getByRole('combobox', { name: 'Personne ou groupe' }).pressSequentially('faure');
    await page.getByRole('option', { name: 'Inès Faure' }).click();
    await dialog.getByRole('button', { name: 'Partager', exact: true }).click();
    await dialog.getByText('Le serveur est occupé').waitFor();
    equal(await dialog.getByRole('combobox', { name: 'Personne ou groupe' }).inputValue(), 'Inès Faure', 'what was chosen is lost');
    await stage.look('share-refused');
    await context.unroute('**/api/v1/shares**', refuse);
    // Without a network, and once it is there again.
    stage.mayCut = true;
    await context.setOffline(true);
    await dialog.getByRole('button', { name: 'Partager', exact: true }).click();
    await dialog.getByText('Le serveur ne répond pas').waitFor();
    await context.setOffline(false);
    await dialog.getByRole('button', { name: 'Partager', exact: true }).click();
    await dialog.getByText('Partagé avec Inès Faure.').last().waitFor();
    equal((await shares(person, '/Partage refusé/Projet')).map((one) => one.receiver.name), ['ines']);
  },
};
