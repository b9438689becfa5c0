/* Files from all over: searched, changed lately, liked. */

import { equal } from './stage.js';

export const tests = {
  async 'searched by mouse and by keys'(stage) {
    const { page, person } = stage;
    await person.folder('/Recherche');
    await person.folder('/Recherche/Dedans');
    await person.file('/Recherche/zèbre rayé.txt', 'z');
    await person.file('/Recherche/Dedans/zèbre blanc.txt', 'z');
    await stage.go('/files', 'h1');
    await page.getByRole('searchbox', { name: 'Rechercher dans tous les fichiers' }).fill('zèbre');
    await page.keyboard.press('Enter');
    await stage.until('both are found', async () => (await stage.names()).toSorted().join() === 'zèbre blanc.txt,zèbre rayé.txt');
    await stage.look('recherche');
    await stage.row('zèbre blanc.txt').click({ button: 'right' });
    await page.getByRole('menuitem', { name: 'Voir dans son dossier' }).click();
    await page.getByRole('heading', { name: 'Dedans' }).waitFor();
    await page.goto('/search?q=z%C3%A8bre&in=%2FRecherche%2FDedans');
    await stage.untilNames(['zèbre blanc.txt']);
    await page.getByRole('link', { name: 'zèbre blanc.txt' }).click();
    await page.getByRole('dialog').getByText('z', { exact: true }).waitFor();
    await page.keyboard.press('Escape');
    await page.goto('/search?q=introuvable-nulle-part');
    await page.getByText('Rien n’a été trouvé.').waitFor();
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').waitFor();
    await page.keyboard.type('rayé');
    await page.getByRole('option', { name: /zèbre rayé/ }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('heading', { name: /zèbre rayé/ }).waitFor();
  },

  async 'changed lately, and liked'(stage) {
    const { page, person } = stage;
    await person.folder('/Lieux');
    await person.file('/Lieux/aimé.txt', 'x');
    await stage.go('/recent', '[data-index]');
    equal((await stage.names()).includes('aimé.txt'), true);
    await stage.look('recents');
    await stage.row('aimé.txt').locator('.modified').click();
    await page.keyboard.press('Shift+F10');
    await page.getByRole('menuitem', { name: 'Ajouter aux favoris' }).click();
    await stage.row('aimé.txt').locator('.star').waitFor();
    await page.getByRole('link', { name: 'Favoris' }).click();
    await page.getByRole('heading', { name: 'Favoris' }).waitFor();
    await stage.until('it is a favourite', async () => (await stage.names()).includes('aimé.txt'));
    await stage.look('favoris');
    await stage.row('aimé.txt').click({ button: 'right' });
    await page.getByRole('menuitem', { name: 'Retirer des favoris' }).click();
    await stage.until('it is none any more', async () => !(await stage.names()).includes('aimé.txt'));
  },
};
