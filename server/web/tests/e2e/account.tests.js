/* One's own account: password, app passwords, browsers, addresses, language. */

import { equal, Stage } from './stage.js';

const devices = async (person) => (await person.call('GET', '/devices')).devices.map((device) => device.label);

export const tests = {
  async 'who I am, in which language, how it looks'(stage) {
    const { page } = stage;
    await stage.go('/account', 'h2');
    await page.getByText('Administre ce serveur').waitFor();
    await stage.look('account');
    await page.getByLabel('Sombre').check();
    equal(await page.evaluate(() => document.documentElement.style.colorScheme), 'dark');
    await page.getByLabel('Comme le système').check();
    await Promise.all([page.waitForEvent('load'), page.getByLabel('English').check()]);
    await page.getByRole('heading', { name: 'My account' }).waitFor();
    await stage.look('account-english');
    await Promise.all([page.waitForEvent('load'), page.getByLabel('Français').check()]);
    await page.getByRole('heading', { name: 'Mon compte' }).waitFor();
  },

  async 'the password is changed, by keys alone'(_, { browser, server }) {
    const person = server.person('paul');
    const stage = await Stage.open(browser, person);
    const { page } = stage;
    const { keyboard } = page;
    await stage.go('/account', 'h2');
    await page.getByLabel('Mot de passe actuel').focus();
    await keyboard.type('not this one');
    await keyboard.press('Tab');
    await keyboard.type('short');
    await keyboard.press('Tab');
    await keyboard.type('short');
    await keyboard.press('Enter');
    equal(await page.getByLabel('Nouveau mot de passe', { exact: true }).getAttribute('aria-invalid'), 'true');
    const fresh = 'a whole new secret of mine';
    await page.getByLabel('Nouveau mot de passe', { exact: true }).fill(fresh);
    await page.getByLabel('Nouveau mot de passe, une seconde fois').fill(`${fresh}!`);
    await keyboard.press('Enter');
    await page.getByText('Les deux mots de passe ne sont pas les mêmes.').waitFor();
    await page.getByLabel('Nouveau mot de passe, une seconde fois').fill(fresh);
    await keyboard.press('Enter');
    await page.getByText('Ce n’est pas votre mot de passe actuel.').waitFor();
    await stage.look('account-password');
    await page.getByLabel('Mot de passe actuel').fill(person.password);
    await keyboard.press('Enter');
    await page.locator('.toast').getByText('Votre mot de passe est changé.').waitFor();
    // The page goes on with the session that it was given, and the new password is the one that counts.
    await page.getByRole('link', { name: 'Appareils et navigateurs' }).click();
    await page.getByText('ce navigateur').waitFor();
    person.password = fresh;
    await person.signIn();
    await stage.close();
  },

  async 'app passwords are made, work, and end'(stage) {
    const { page, person } = stage;
    await stage.go('/account/devices', 'table');
    await page.getByRole('button', { name: 'Créer un mot de passe' }).click();
    await page.getByText('Donnez-lui un nom.').waitFor();
    await page.getByLabel('Nom de l’appareil ou du logiciel').fill('rclone, PC');
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Mot de passe pour « rclone, PC »' });
    const secret = await dialog.getByLabel('Mot de passe d’application').inputValue();
    await stage.look('account-secret');
    const asked = await fetch(`${person.url}/dav/`, {
      method: 'PROPFIND',
      headers: { Depth: '0', Authorization: `Basic ${btoa(`${person.name}:${secret}`)}` },
    });
    equal(asked.status, 207);
    await dialog.getByRole('button', { name: 'C’est noté' }).click();
    await page.getByRole('rowheader', { name: 'rclone, PC' }).waitFor();
    await stage.look('account-devices');
    await page.getByRole('button', { name: 'Retirer « rclone, PC »' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Retirer' }).click();
    await stage.until('it is gone', async () => !(await devices(person)).includes('rclone, PC'));
  },

  async 'another browser is signed out'(stage, { open }) {
    const { page } = stage;
    const other = await open();
    await other.go('/trash', 'h1');
    await stage.go('/account/devices', 'table');
    const before = await page.getByRole('button', { name: /^Déconnecter/ }).count();
    equal(before > 0, true);
    await page.getByRole('button', { name: /^Déconnecter/ }).first().click();
    await page.locator('.toast').getByText('Ce navigateur est déconnecté.').waitFor();
    await stage.until('one less', async () => (await page.getByRole('button', { name: /^Déconnecter/ }).count()) === before - 1);
    await other.context.close();
  },

  async 'where programs find the files'(stage) {
    const { page, person } = stage;
    await stage.go('/account/addresses', 'h2');
    equal(await page.getByRole('textbox', { name: 'Adresse WebDAV' }).inputValue(), `${person.url}/dav/`);
    equal((await page.getByRole('textbox', { name: 'Commande pour rclone' }).inputValue()).includes(`user=${person.name}`), true);
    await stage.look('account-addresses');
  },
};
