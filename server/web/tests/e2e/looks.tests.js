/* Each screen as it is seen, heard and shrunk: pictures in test-results, and what axe says. */

import { equal, RESULTS } from './stage.js';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEklEQVR4nGP4z8AARwzEcQCukw/x0F8jngAAAABJRU5ErkJggg==',
  'base64',
);

async function classroom({ person }, root) {
  await person.folder(root);
  for (const name of ['Évaluations', 'Photos', 'Sorties']) await person.folder(`${root}/${name}`);
  await person.file(`${root}/corrigé.pdf`, 'not really');
  await person.file(`${root}/liste des élèves.ods`, 'x'.repeat(84_000));
  await person.file(`${root}/photo 2.png`, PNG);
  await person.file(`${root}/photo 10.png`, PNG);
  await person.file(`${root}/lisez-moi.md`, '# Bienvenue\n\nVoici **le plan** de la semaine.\n\n- lundi\n- mardi\n');
  await person.file(`${root}/${'un nom très long '.repeat(9)}.txt`, 'long');
  await person.call('POST', '/favorites', { json: { paths: [`${root}/lisez-moi.md`], favorite: true } });
}

export const tests = {
  async 'a folder: list, choice, menu, details, tiles'(stage) {
    const { page } = stage;
    await classroom(stage, '/Classe 3B');
    await stage.go('/files/Classe%203B', '[data-index]');
    await stage.look('liste');
    await stage.row('Photos').getByRole('checkbox').click();
    await stage.row('lisez-moi.md').getByRole('checkbox').click();
    await stage.look('choix');
    await stage.row('lisez-moi.md').click({ button: 'right' });
    await stage.look('menu');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    await stage.row('lisez-moi.md').locator('.modified').click();
    await page.keyboard.press('Alt+Enter');
    await page.getByRole('complementary').getByText('Propriétaire').waitFor();
    await stage.look('details');
    await page.keyboard.press('Alt+Enter');
    await page.getByRole('button', { name: 'Afficher en vignettes' }).click();
    await page.locator('.tile').first().waitFor();
    await stage.look('vignettes');
    await page.locator('.tile').first().focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    equal(await page.evaluate(() => document.activeElement.querySelector('a').textContent), 'Sorties');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Ce dossier est vide' }).waitFor();
    await stage.look('vide');
  },

  async 'commands, keys, questions, the account menu'(stage) {
    const { page } = stage;
    await classroom(stage, '/Palette');
    await stage.go('/files/Palette', '[data-index]');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').waitFor();
    await page.keyboard.type('lis');
    await page.getByRole('option', { name: /lisez-moi/ }).first().waitFor();
    await stage.look('palette');
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    await stage.look('aide');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: /^Mon compte/ }).click();
    await stage.look('menu-compte');
    await page.getByRole('menuitemradio', { name: /sombre/ }).click();
    equal(await page.evaluate(() => document.documentElement.style.colorScheme), 'dark');
  },

  async 'a place that is not there'(stage) {
    await stage.go('/files/Nulle%20part', '[role=alert]');
    await stage.look('absent');
  },

  async 'in English, in the dark'(stage) {
    await stage.go('/files', 'h1');
    await stage.page.getByRole('heading', { name: 'My files' }).waitFor();
    equal(await stage.page.evaluate(() => document.documentElement.lang), 'en');
    await stage.look('english');
  },

  async '320 pixels wide, and letters twice as large'(stage) {
    const { page } = stage;
    await classroom(stage, '/Étroit');
    await stage.go('/files/%C3%89troit', '[data-index]');
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    equal(wide, 0);
    await page.setViewportSize({ width: 640, height: 640 });
    await page.evaluate(() => (document.documentElement.style.fontSize = '200%'));
    equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
    await page.screenshot({ path: `${RESULTS}/lettres-200.png` });
    await page.evaluate(() => (document.documentElement.style.fontSize = ''));
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.getByRole('link', { name: 'Récents' }).click();
    await page.getByRole('heading', { name: 'Récents' }).waitFor();
  },
};
tests['in English, in the dark'].options = { locale: 'en-GB', colorScheme: 'dark' };
tests['320 pixels wide, and letters twice as large'].options = { viewport: { width: 320, height: 640 } };
