/* Administration: people, groups, links of everybody. */

import { equal, Stage } from './stage.js';

const link = (person, path, more = {}) =>
  person.call('POST', '/shares', {
    json: { path, kind: 'link', permissions: 1, note: '', label: '', last_day: null, endless: true, ...more },
  });
const users = async (person, q) => (await person.call('GET', '/admin/users', { query: { q } })).items;

export const tests = {
  async 'people are added, given space, disabled, deleted'(stage) {
    const { page, person } = stage;
    await stage.go('/admin', 'table');
    await page.getByRole('button', { name: 'Ajouter une personne' }).click();
    let dialog = page.getByRole('dialog', { name: 'Nouvelle personne' });
    await dialog.getByRole('button', { name: 'Créer le compte' }).click();
    await dialog.getByText('Un identifiant est nécessaire.').waitFor();
    await stage.look('admin-add');
    await dialog.getByLabel('Identifiant').fill('camille');
    await dialog.getByRole('button', { name: 'Créer le compte' }).click();
    await stage.until('the refusal stands at the field', async () => {
      return (await dialog.getByLabel('Identifiant').getAttribute('aria-invalid')) === 'true';
    });
    await dialog.getByLabel('Identifiant').fill('yann');
    await dialog.getByLabel('Nom affiché').fill('Yann Le Goff');
    await dialog.getByLabel('Espace, en Go').fill('beaucoup');
    await dialog.getByRole('button', { name: 'Créer le compte' }).click();
    await dialog.getByText('Écrivez un nombre de Go').waitFor();
    await dialog.getByLabel('Espace, en Go').fill('1,5');
    await dialog.getByRole('button', { name: 'Créer le compte' }).click();
    dialog = page.getByRole('dialog', { name: 'Mot de passe de Yann Le Goff' });
    equal((await dialog.getByLabel('Mot de passe').inputValue()).length > 10, true);
    await dialog.getByRole('button', { name: 'C’est transmis' }).click();
    const [made] = await users(person, 'yann');
    equal([made.display_name, made.own_quota_bytes], ['Yann Le Goff', 1_500_000_000]);
    // Found, and disabled by keys.
    await page.getByRole('searchbox', { name: 'Chercher une personne' }).fill('yan');
    await stage.until('one is left', async () => (await page.locator('tbody tr').count()) === 1);
    await stage.look('admin-users');
    const { keyboard } = page;
    const menu = page.getByRole('button', { name: 'Actions pour Yann Le Goff' });
    await menu.focus();
    await keyboard.press('Enter');
    await page.getByRole('menuitem', { name: 'Suspendre' }).waitFor();
    await keyboard.type('s');
    await keyboard.press('Enter');
    await stage.until('he is disabled', async () => (await users(person, 'yann'))[0].is_disabled);
    await page.locator('.toast').getByRole('button', { name: 'Annuler' }).last().click();
    await stage.until('he is enabled', async () => !(await users(person, 'yann'))[0].is_disabled);
    await menu.click();
    await page.getByRole('menuitem', { name: 'Changer l’espace' }).click();
    await page.getByLabel('Espace, en Go').fill('20');
    await keyboard.press('Enter');
    await stage.until('it is more', async () => (await users(person, 'yann'))[0].own_quota_bytes === 20_000_000_000);
    await page.locator('.toast').getByRole('button', { name: 'Annuler' }).last().click();
    await stage.until('it is as before', async () => (await users(person, 'yann'))[0].own_quota_bytes === 1_500_000_000);
    await menu.click();
    await page.getByRole('menuitem', { name: 'Nouveau mot de passe' }).click();
    await page.getByRole('button', { name: 'Donner ce mot de passe' }).click();
    dialog = page.getByRole('dialog', { name: 'Mot de passe de Yann Le Goff' });
    await stage.look('admin-password');
    await keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await menu.click();
    await page.getByRole('menuitem', { name: 'Supprimer le compte' }).click();
    dialog = page.getByRole('dialog', { name: 'Supprimer le compte de Yann Le Goff ?' });
    await stage.look('admin-delete');
    await dialog.getByRole('button', { name: 'Supprimer le compte' }).click();
    await page.getByText('Personne ne correspond.').waitFor();
  },

  async 'files of somebody who leaves are handed over'(stage, { server }) {
    const { page, person } = stage;
    const [leaver, heir] = ['partant', 'heritier'].map((name) => server.person(name));
    await leaver.signIn();
    await leaver.file('/dossier en cours.txt');
    await stage.go('/admin', 'table');
    await page.getByRole('button', { name: 'Actions pour partant' }).click();
    await page.getByRole('menuitem', { name: 'Supprimer le compte' }).click();
    const dialog = page.getByRole('dialog', { name: 'Supprimer le compte de partant ?' });
    await dialog.getByRole('combobox').pressSequentially('heri');
    await page.getByRole('option', { name: 'heritier' }).click();
    await dialog.getByRole('button', { name: 'Supprimer le compte' }).click();
    await dialog.waitFor({ state: 'detached' });
    await heir.signIn();
    const found = await heir.call('GET', '/search', { query: { q: 'dossier en cours' } });
    equal(found.items.length, 1);
    equal((await users(person, 'partant')).filter((user) => !user.is_disabled), []);
  },

  async 'groups are made, their members chosen, by keys too'(stage, { server }) {
    const { page, person } = stage;
    server.person('lucie', ['--display-name', 'Lucie Bernard']);
    await stage.go('/admin/groups', 'h1');
    await page.getByRole('button', { name: 'Ajouter un groupe' }).click();
    await page.getByRole('dialog', { name: 'Nouveau groupe' }).getByLabel('Nom du groupe').fill('Maths');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Membres de « Maths »' }).click();
    const dialog = page.getByRole('dialog', { name: 'Membres de « Maths »' });
    const members = async () => (await person.call('GET', '/admin/groups/Maths/members')).items.map((one) => [one.name, one.role]);
    await dialog.getByRole('combobox', { name: 'Personne' }).focus();
    await page.keyboard.type('lucie');
    await page.getByRole('option', { name: 'Lucie Bernard' }).waitFor();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await dialog.getByText('Lucie Bernard est membre.').waitFor();
    equal(await members(), [['lucie', 'member']]);
    await dialog.getByLabel('Rôle de Lucie Bernard').selectOption('Gère le groupe');
    await dialog.getByText('Enregistré.').waitFor();
    equal(await members(), [['lucie', 'manager']]);
    await stage.look('admin-members');
    await dialog.getByRole('button', { name: 'Retirer Lucie Bernard du groupe' }).click();
    await dialog.getByText('Ce groupe n’a pas de membre.').waitFor();
    await page.keyboard.press('Escape');
    await stage.look('admin-groups');
    await page.getByRole('button', { name: 'Supprimer le groupe « Maths »' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Supprimer' }).click();
    await page.getByRole('rowheader', { name: 'Maths' }).waitFor({ state: 'detached' });
  },

  async 'links of everybody are filtered and ended, many at once'(stage, { server }) {
    const { page, person } = stage;
    const other = server.person('fanny', ['--display-name', 'Fanny Leroy']);
    await other.signIn();
    for (const name of ['un.txt', 'deux.txt', 'trois.txt']) await other.file(`/${name}`);
    await link(other, '/un.txt');
    await link(other, '/deux.txt', { last_day: '2027-07-05', endless: false });
    await link(other, '/trois.txt', { password: 'a secret of some length' });
    const left = async () => (await person.call('GET', '/admin/links')).items.filter((one) => one.from.name === 'fanny').length;
    equal(await left(), 3);
    await stage.go('/admin/links', 'table');
    await stage.look('admin-links');
    const row = (name) => page.getByRole('rowheader', { name });
    await page.getByLabel('sans mot de passe').check();
    await row('trois.txt').waitFor({ state: 'detached' });
    await page.getByLabel('sans fin').check();
    await row('deux.txt').waitFor({ state: 'detached' });
    await row('un.txt').waitFor();
    await page.getByLabel('sans fin').uncheck();
    await row('deux.txt').waitFor();
    for (const name of ['un.txt', 'deux.txt']) await page.getByLabel(`Sélectionner « ${name} »`).check();
    await page.getByRole('toolbar').getByRole('button', { name: 'Supprimer' }).click();
    await page.getByRole('dialog', { name: 'Supprimer 2 liens ?' }).getByRole('button', { name: 'Supprimer' }).click();
    await stage.until('one is left', async () => (await left()) === 1);
  },

  async 'who does not administer sees nothing of it'(_, { browser, server }) {
    const stage = await Stage.open(browser, server.person('simple'));
    await stage.go('/admin', 'h1');
    await stage.page.getByText('Cette page est pour ceux qui administrent ce serveur.').waitFor();
    equal(await stage.page.getByRole('link', { name: 'Administration' }).count(), 0);
    await stage.close();
  },
};
