/* The list of a folder: by mouse, by keys alone, by a helping program, and with very many entries. */

import { readFileSync } from 'node:fs';
import { equal } from './stage.js';

const takeBack = (stage, said) =>
  stage.page.locator('.toast').filter({ hasText: said }).getByRole('button', { name: 'Annuler' }).click();

export const tests = {
  async 'who is not signed in signs in and comes back'({ page, person }) {
    await page.goto('/recent');
    await page.waitForURL('**/login?next=**');
    await page.fill('input[name=user]', person.name);
    await page.fill('input[name=password]', person.password);
    await page.click('button.main, button[type=submit]');
    await page.waitForURL('**/recent');
    await page.getByRole('heading', { name: 'Récents' }).waitFor();
  },

  async 'the page keeps its policy'(stage) {
    const answer = await stage.page.goto('/');
    await stage.page.waitForSelector('h1');
    const policy = answer.headers()['content-security-policy'] ?? '';
    equal(/script-src 'self'/.test(policy) && !/unsafe-inline/.test(policy), true, policy);
    const ran = await stage.page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.ran = true';
      document.body.append(script);
      return globalThis.ran ?? false;
    });
    equal(ran, false, 'a script within the page ran');
    stage.faults.length = 0;
  },

  async 'by mouse'(stage) {
    const { page, person } = stage;
    await person.folder('/Souris');
    await stage.go('/files/Souris', 'h2');
    await page.getByRole('button', { name: 'Nouveau', exact: true }).click();
    await page.getByRole('menuitem', { name: 'Nouveau dossier' }).click();
    await page.getByLabel('Nom', { exact: true }).fill('Classe 3B');
    await page.getByRole('button', { name: 'Créer' }).click();
    await stage.untilNames(['Classe 3B']);
    await page.getByRole('button', { name: 'Nouveau', exact: true }).click();
    await page.getByRole('menuitem', { name: 'Nouveau fichier texte' }).click();
    await page.getByRole('button', { name: 'Créer' }).click();
    await stage.untilNames(['Classe 3B', 'Nouveau texte.txt']);
    // The menu of a row: a new name in its place.
    await stage.row('Nouveau texte.txt').click({ button: 'right' });
    await page.getByRole('menuitem', { name: 'Renommer' }).click();
    await page.getByLabel('Nouveau nom de Nouveau texte.txt').fill('sujet.txt');
    await page.keyboard.press('Enter');
    await stage.untilNames(['Classe 3B', 'sujet.txt']);
    // Dragged into a folder, and taken back.
    await stage.row('sujet.txt').dragTo(stage.row('Classe 3B'));
    await stage.untilNames(['Classe 3B']);
    await stage.until('it is in the folder', async () => (await person.names('/Souris/Classe 3B')).includes('sujet.txt'));
    await takeBack(stage, 'dans « Classe 3B »');
    await stage.untilNames(['Classe 3B', 'sujet.txt']);
    // Chosen with Ctrl, deleted, taken back.
    await stage.row('Classe 3B').locator('.size').click();
    await stage.row('sujet.txt').locator('.size').click({ modifiers: ['Control'] });
    await page.getByRole('toolbar').getByRole('button', { name: 'Supprimer' }).click();
    await page.getByRole('heading', { name: 'Ce dossier est vide' }).waitFor();
    await stage.until('both are gone', async () => (await person.names('/Souris')).length === 0);
    await takeBack(stage, '2 éléments dans la corbeille');
    await stage.untilNames(['Classe 3B', 'sujet.txt']);
    // A favourite shows its star.
    await stage.row('sujet.txt').getByRole('button', { name: 'Actions pour sujet.txt' }).click();
    await page.getByRole('menuitem', { name: 'Ajouter aux favoris' }).click();
    await stage.row('sujet.txt').locator('.star').waitFor();
    // Through the folder and back by the way above.
    await page.getByRole('link', { name: 'Classe 3B' }).click();
    await page.getByRole('heading', { name: 'Classe 3B' }).waitFor();
    await page.getByRole('navigation', { name: 'Chemin' }).getByRole('link', { name: 'Souris' }).click();
    await stage.untilNames(['Classe 3B', 'sujet.txt']);
  },

  async 'by keys alone'(stage) {
    const { page, person } = stage;
    await person.folder('/Touches');
    for (const name of ['b.txt', 'a.txt', 'C', 'd10.txt', 'd9.txt']) {
      await (name === 'C' ? person.folder('/Touches/C') : person.file(`/Touches/${name}`));
    }
    await stage.go('/files/Touches', '[data-index]');
    await stage.untilNames(['C', 'a.txt', 'b.txt', 'd9.txt', 'd10.txt']);
    const press = async (...keys) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    const focused = () => page.evaluate(() => document.activeElement?.querySelector('a')?.textContent ?? document.activeElement?.tagName);
    // The first stop is the way past everything; the list is one stop.
    await press('Tab');
    equal(await page.evaluate(() => document.activeElement?.textContent), 'Aller au contenu');
    await press('Enter');
    for (let stops = 0; (await focused()) !== 'C'; stops += 1) {
      if (stops > 15) throw new Error('the list is not reached by Tab');
      await press('Tab');
    }
    await press('End');
    await stage.until('the end has the focus', async () => (await focused()) === 'd10.txt');
    await page.keyboard.type('b');
    await stage.until('a letter leads to its name', async () => (await focused()) === 'b.txt');
    await press('F2');
    await page.getByLabel('Nouveau nom de b.txt').waitFor();
    await page.keyboard.type('e');
    await press('Enter');
    await stage.untilNames(['C', 'a.txt', 'd9.txt', 'd10.txt', 'e.txt']);
    await stage.until('the focus is on the new name', async () => (await focused()) === 'e.txt');
    // Two are cut and put into the folder.
    await press('Shift+ArrowUp', 'Control+x', 'Home', 'Enter');
    await page.getByRole('heading', { name: 'C', exact: true }).waitFor();
    await page.getByRole('heading', { name: 'Ce dossier est vide' }).waitFor();
    await press('Control+v');
    await stage.untilNames(['d10.txt', 'e.txt']);
    equal(await person.names('/Touches/C'), ['d10.txt', 'e.txt']);
    await stage.until('the focus stays in the list', async () => ['d10.txt', 'e.txt'].includes(await focused()));
    await press('Control+a', 'Delete');
    await page.getByRole('heading', { name: 'Ce dossier est vide' }).waitFor();
    await press('Control+z');
    await stage.untilNames(['d10.txt', 'e.txt']);
    await press('Control+z');
    await page.getByRole('heading', { name: 'Ce dossier est vide' }).waitFor();
    await stage.until('the move was undone', async () => (await person.names('/Touches')).length === 5);
    // The palette leads anywhere, and makes things.
    await press('Control+k');
    await page.getByRole('combobox').waitFor();
    await page.keyboard.type('nouveau dossier');
    await press('Enter');
    await page.getByLabel('Nom', { exact: true }).waitFor();
    await press('Enter');
    await stage.untilNames(['Nouveau dossier']);
    // The menu of a row, and its details.
    await stage.until('the list has the focus again', async () => (await focused()) === 'Nouveau dossier');
    await press('Shift+F10');
    await page.getByRole('menu').waitFor();
    await press('End', 'Enter');
    await page.getByRole('heading', { name: 'Ce dossier est vide' }).waitFor();
    await press('?');
    await page.getByRole('dialog', { name: 'Raccourcis clavier' }).waitFor();
    await press('Escape');
    await page.goto('/files/Touches');
    await page.waitForSelector('[data-index]');
    await press('/');
    await page.keyboard.type('D1');
    await stage.untilNames(['d10.txt']);
    await press('ArrowDown', 'Alt+Enter');
    await page.getByRole('complementary', { name: 'Détails' }).getByRole('heading', { name: 'd10.txt' }).waitFor();
    await press('Alt+Enter', 'Backspace');
    await page.getByRole('heading', { name: 'Mes fichiers' }).waitFor();
  },

  async 'moved and copied by the dialog'(stage) {
    const { page, person } = stage;
    await person.folder('/Dialogue');
    await person.folder('/Dialogue/Dedans');
    await person.file('/Dialogue/un.txt', 'un');
    await person.file('/Dialogue/Dedans/un.txt', 'autre');
    await stage.go('/files/Dialogue', '[data-index]');
    await stage.row('un.txt').getByRole('checkbox').click();
    await page.getByRole('toolbar').getByRole('button', { name: 'Copier' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Dedans' }).click();
    await stage.look('dialogue');
    await page.getByRole('button', { name: 'Copier ici' }).click();
    // Something of that name is there: both are kept.
    await page.getByRole('button', { name: 'Garder les deux' }).click();
    await stage.until('both are there', async () => (await person.names('/Dialogue/Dedans')).join() === 'un (2).txt,un.txt');
    equal((await person.read('/Dialogue/Dedans/un.txt')).toString(), 'autre');
    equal((await person.read('/Dialogue/Dedans/un (2).txt')).toString(), 'un');
    await page.getByRole('toolbar').getByRole('button', { name: 'Déplacer' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Dossier parent' }).click();
    await page.getByRole('button', { name: 'Déplacer ici' }).click();
    await stage.untilNames(['Dedans']);
    await stage.until('it has moved', async () => (await person.names('/')).includes('un.txt'));
    await page.locator('.toast').filter({ hasText: 'Mes fichiers' }).waitFor();
    await page.keyboard.press('Control+z');
    await stage.untilNames(['Dedans', 'un.txt']);
  },

  async 'what others do appears by itself'(stage) {
    const { person } = stage;
    await person.folder('/Direct');
    await person.file('/Direct/a.txt');
    await stage.go('/files/Direct', '[data-index]');
    await stage.page.waitForTimeout(300);
    await person.file('/Direct/b.txt');
    await stage.untilNames(['a.txt', 'b.txt']);
  },

  async 'several together are one ZIP'(stage) {
    const { page, person } = stage;
    await person.folder('/Archive');
    await person.file('/Archive/été.txt', 'chaud');
    await person.file('/Archive/hiver.txt', 'froid');
    await person.file('/Archive/non.txt', 'non');
    await stage.go('/files/Archive', '[data-index]');
    for (const name of ['été.txt', 'hiver.txt']) await stage.row(name).getByRole('checkbox').click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('toolbar').getByRole('button', { name: 'Télécharger' }).click(),
    ]);
    const bytes = readFileSync(await download.path());
    equal(bytes.subarray(0, 2).toString(), 'PK');
    equal([bytes.includes('été.txt'), bytes.includes('hiver.txt'), bytes.includes('non.txt')], [true, true, false]);
  },

  async 'very many entries'(stage) {
    const { page, person } = stage;
    const count = Number(process.env.NUAGE_E2E_ENTRIES ?? 2000);
    const last = count - 1;
    await person.folder('/Grand');
    await person.file('/Grand/000.txt', 'x');
    for (let from = 1; from < count; from += 1000) {
      const items = Array.from({ length: Math.min(1000, count - from) }, (_, index) => ({
        from: '/Grand/000.txt',
        to: `/Grand/fichier ${from + index}.txt`,
      }));
      await person.call('POST', '/copy', { json: { items, overwrite: false } });
    }
    await stage.go('/files', '[data-index]');
    const times = [];
    for (let turn = 0; turn < 3; turn += 1) {
      await page.goto('/files/Grand');
      await page.waitForSelector('[data-index]');
      times.push(Math.round(await page.evaluate(() => performance.now())));
    }
    console.log(`       ${count} entries are painted after ${times.join(', ')} ms`);
    const grid = page.getByRole('grid');
    equal(await grid.getAttribute('aria-rowcount'), String(count + 1));
    equal((await page.locator('[data-index]').count()) < 60, true, 'only rows in sight are drawn');
    await page.locator('[data-index="0"]').focus();
    await page.keyboard.press('End');
    await page.getByRole('link', { name: `fichier ${last}.txt` }).waitFor();
    await page.keyboard.press('Shift+PageUp');
    await page.keyboard.press('Control+a');
    await page.getByRole('toolbar').getByText(`${count.toLocaleString('fr')} sélectionnés`).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('/');
    await page.keyboard.type(String(last - 1));
    await stage.untilNames([`fichier ${last - 1}.txt`]);
  },
  async 'touch: a long press chooses, a tap opens'(stage) {
    const { page, person } = stage;
    await person.folder('/Toucher');
    await person.folder('/Toucher/Dossier');
    await person.file('/Toucher/a.txt', 'a');
    await stage.go('/files/Toucher', '[data-index]');
    const row = stage.row('a.txt');
    const box = await row.boundingBox();
    equal(box.height, 56);
    const touch = await stage.context.newCDPSession(page);
    const point = [{ x: box.x + 120, y: box.y + 20 }];
    await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: point });
    await page.waitForTimeout(650);
    await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    await page.getByRole('toolbar').getByText('1 sélectionné').waitFor();
    await stage.row('Dossier').tap();
    await page.getByRole('toolbar').getByText('2 sélectionnés').waitFor();
    await page.getByRole('toolbar').getByRole('button', { name: 'Tout désélectionner' }).tap();
    await stage.row('Dossier').tap();
    await page.getByRole('heading', { name: 'Dossier', exact: true }).waitFor();
  },
};
tests['who is not signed in signs in and comes back'].options = { isStranger: true };
tests['touch: a long press chooses, a tap opens'].options = { hasTouch: true, isMobile: true, viewport: { width: 390, height: 800 } };

