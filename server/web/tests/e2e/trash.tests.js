/* The trash, and former versions of files. */

import { equal } from './stage.js';

const trashed = async (person) => (await person.call('GET', '/trash')).items.map((item) => item.name).sort();
const remove = (person, paths) => person.call('POST', '/delete', { json: { paths } });
const write = (person, path, body) => person.send('PUT', '/content', { query: { path }, body });

export const tests = {
  async 'restored, one and many, and taken back; deleted for good'(stage) {
    const { page, person } = stage;
    await person.call('POST', '/trash/empty');
    await person.folder('/Vieux');
    await person.folder('/Vieux/Photos');
    for (const name of ['plan.odt', 'plan 2.odt', 'liste.csv']) await person.file(`/Vieux/${name}`);
    await remove(person, ['/Vieux/Photos', '/Vieux/plan.odt', '/Vieux/plan 2.odt', '/Vieux/liste.csv']);
    await stage.go('/trash', 'table');
    await stage.look('trash');
    await page.getByRole('button', { name: 'Restaurer « liste.csv »' }).click();
    await stage.until('it is back', async () => (await person.names('/Vieux')).join() === 'liste.csv');
    await page.locator('.toast').getByRole('button', { name: 'Annuler' }).last().click();
    await page.getByRole('button', { name: 'Restaurer « liste.csv »' }).waitFor();
    equal(await person.names('/Vieux'), []);
    // Many: those that the filter leaves.
    await page.getByRole('searchbox', { name: 'Filtrer' }).fill('plan');
    await page.getByLabel('Tout sélectionner').check();
    const bar = page.getByRole('toolbar', { name: '2 sélectionnés' });
    await bar.waitFor();
    await stage.look('trash-picked');
    await bar.getByRole('button', { name: 'Restaurer' }).click();
    await stage.until('both are back', async () => (await person.names('/Vieux')).join() === 'plan 2.odt,plan.odt');
    await page.getByRole('searchbox', { name: 'Filtrer' }).fill('');
    await page.getByRole('button', { name: 'Supprimer définitivement « Photos »' }).click();
    const dialog = page.getByRole('dialog', { name: 'Supprimer définitivement « Photos » ?' });
    await dialog.waitFor();
    await stage.look('trash-confirm');
    await dialog.getByRole('button', { name: 'Supprimer définitivement' }).click();
    await dialog.waitFor({ state: 'detached' });
    equal(await trashed(person), ['liste.csv']);
    await page.getByRole('button', { name: 'Vider la corbeille' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Vider la corbeille' }).click();
    await page.getByText('La corbeille est vide.').waitFor();
    equal(await trashed(person), []);
  },

  async 'by keys alone'(stage) {
    const { page, person } = stage;
    const { keyboard } = page;
    await person.call('POST', '/trash/empty');
    await person.folder('/Corbeille au clavier');
    for (const name of ['a.txt', 'b.txt', 'c.txt']) await person.file(`/Corbeille au clavier/${name}`);
    await remove(person, ['/Corbeille au clavier/a.txt', '/Corbeille au clavier/b.txt', '/Corbeille au clavier/c.txt']);
    await stage.go('/trash', 'table');
    // `/` leads to the filter; from there on to the boxes.
    await keyboard.press('/');
    equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Filtrer');
    await page.getByLabel('Sélectionner « a.txt »').focus();
    await keyboard.press('Space');
    await page.getByRole('toolbar', { name: '1 sélectionné' }).waitFor();
    await keyboard.press('Control+a');
    await page.getByRole('toolbar', { name: '3 sélectionnés' }).waitFor();
    await keyboard.press('Escape');
    await page.getByRole('toolbar').waitFor({ state: 'detached' });
    await page.getByLabel('Sélectionner « b.txt »').focus();
    await keyboard.press('Space');
    await page.getByRole('toolbar').getByRole('button', { name: 'Restaurer' }).focus();
    await keyboard.press('Enter');
    await stage.until('it is back', async () => (await person.names('/Corbeille au clavier')).join() === 'b.txt');
    // A row that goes leaves the focus to the next one.
    await page.getByRole('button', { name: 'Restaurer « c.txt »' }).focus();
    await keyboard.press('Enter');
    const here = () => page.evaluate(() => document.activeElement.getAttribute('aria-label'));
    await stage.until('the next row has the focus', async () => (await here())?.replaceAll('\u00a0', ' ') === 'Restaurer « a.txt »' || (await here()));
    await page.getByRole('button', { name: 'Supprimer définitivement « a.txt »' }).focus();
    await keyboard.press('Enter');
    // The way out has the focus.
    await page.getByRole('dialog').waitFor();
    equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Annuler');
    await keyboard.press('Enter');
    equal(await trashed(person), ['a.txt']);
  },

  async 'very many are restored at once'(stage) {
    const { page, person } = stage;
    await person.call('POST', '/trash/empty');
    await person.folder('/Foule');
    await person.file('/Foule/modele.txt', '');
    const names = Array.from({ length: 1200 }, (_, index) => `eleve ${index}.txt`);
    for (const portion of [names.slice(0, 600), names.slice(600)]) {
      const items = portion.map((name) => ({ from: '/Foule/modele.txt', to: `/Foule/${name}` }));
      await person.call('POST', '/copy', { json: { items, overwrite: false } });
      await remove(person, portion.map((name) => `/Foule/${name}`));
    }
    await stage.go('/trash', 'table');
    await page.getByRole('button', { name: 'Charger la suite' }).click();
    await page.getByText('1 200 éléments').waitFor();
    equal(await page.locator('tbody tr').count(), 200, 'rows that are drawn');
    await page.getByLabel('Tout sélectionner').check();
    await page.getByRole('toolbar').getByRole('button', { name: 'Restaurer' }).click();
    await page.getByText('La corbeille est vide.').waitFor({ timeout: 60_000 });
    equal((await person.names('/Foule')).length, 1201);
  },

  async 'versions are compared, named, restored, deleted'(stage) {
    const { page, person } = stage;
    await person.folder('/Versions');
    const node = await person.file('/Versions/rapport.md', '# Rapport\n\nPremier jet.\nFin.\n');
    await write(person, '/Versions/rapport.md', '# Rapport\n\nDeuxième jet.\nFin.\n');
    await write(person, '/Versions/rapport.md', '# Rapport\n\nDeuxième jet.\nUne ligne de plus.\nFin.\n');
    const versions = async () => (await person.call('GET', '/versions', { query: { id: node.id } })).versions;
    const before = await versions();
    equal(before.length, 2);
    await stage.go(`/versions/${node.id}`, 'table');
    await page.getByRole('heading', { name: 'Versions de « rapport.md »' }).waitFor();
    await stage.look('versions');
    const rows = page.locator('tbody tr');
    await rows.nth(2).getByRole('button', { name: /^Comparer/ }).click();
    const comparison = page.locator('.comparison');
    await comparison.getByText('2 lignes ajoutées, 1 ligne retirée.').waitFor();
    equal(await comparison.locator('del').allTextContents(), ['retiré : Premier jet.']);
    await stage.look('versions-compare');
    // A name, by the menu.
    await rows.nth(2).getByRole('button', { name: /^Actions/ }).click();
    await page.getByRole('menuitem', { name: 'Nommer' }).click();
    await page.getByLabel('Nom de la version').fill('rendu');
    await page.keyboard.press('Enter');
    await page.getByText('rendu', { exact: true }).first().waitFor();
    equal((await versions()).at(-1).label, 'rendu');
    // Read.
    await rows.nth(2).getByRole('button', { name: /^Actions/ }).click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('menuitem', { name: 'Télécharger' }).click(),
    ]);
    equal(download.suggestedFilename(), 'rapport.md');
    // Brought back by keys, and taken back.
    await rows.nth(2).getByRole('button', { name: /^Restaurer/ }).focus();
    await page.keyboard.press('Enter');
    await stage.until('it is the first text', async () => /Premier/.test((await person.read('/Versions/rapport.md')).toString()));
    await page.locator('.toast', { hasText: 'est restaurée' }).getByRole('button', { name: 'Annuler' }).click();
    await stage.until('it is the last text', async () => /de plus/.test((await person.read('/Versions/rapport.md')).toString()));
    // Deleted.
    const [{ number }, ...others] = await versions();
    await stage.until('the list is whole', async () => (await rows.count()) === others.length + 2);
    await rows.nth(1).getByRole('button', { name: /^Actions/ }).click();
    await page.getByRole('menuitem', { name: 'Supprimer' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Supprimer', exact: true }).click();
    await stage.until('it is gone', async () => (await versions()).every((version) => version.number !== number));
    equal((await versions()).some((version) => version.label === 'rendu'), true, 'another one is gone');
  },
};
