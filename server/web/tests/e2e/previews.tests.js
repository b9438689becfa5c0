/* Files over the list: pictures, sound, pages, and texts that are changed without losing anybody's work. */

import { equal } from './stage.js';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEklEQVR4nGP4z8AARwzEcQCukw/x0F8jngAAAABJRU5ErkJggg==',
  'base64',
);

/** A page with one word. */
const PDF = Buffer.from(`%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj
4 0 obj<</Length 44>>stream
BT /F 36 Tf 40 100 Td (Bonjour) Tj ET
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>
%%EOF`);

/** A tenth of a second of silence. */
function sound() {
  const bytes = Buffer.alloc(44 + 1600);
  bytes.write('RIFF', 0);
  bytes.writeUInt32LE(36 + 1600, 4);
  bytes.write('WAVEfmt ', 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(8000, 24);
  bytes.writeUInt32LE(16_000, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36);
  bytes.writeUInt32LE(1600, 40);
  return bytes;
}

export const tests = {
  async 'pictures and sound, one after the other'(stage) {
    const { page, person } = stage;
    await person.folder('/Aperçus');
    await person.file('/Aperçus/a.png', PNG);
    await person.file('/Aperçus/b.wav', sound());
    await person.file('/Aperçus/c.bin', 'xyz');
    await stage.go('/files/Aper%C3%A7us', '[data-index]');
    await page.getByRole('link', { name: 'a.png' }).click();
    const picture = page.locator('dialog img');
    await stage.until('the picture is drawn', () => picture.evaluate((image) => image.naturalWidth === 4));
    await stage.look('image');
    await page.keyboard.press('ArrowRight');
    await stage.until('the sound can be played', () => page.locator('dialog audio').evaluate((audio) => audio.duration > 0.09));
    await stage.look('son');
    await page.keyboard.press('ArrowRight');
    await page.getByText('Pas d’aperçu pour ce type de fichier.').waitFor();
    await page.keyboard.press('Escape');
    // The focus is where the last file is.
    await stage.until('the focus is in the list', () =>
      page.evaluate(() => document.activeElement.querySelector('a')?.textContent === 'c.bin'),
    );
    await page.goBack();
    await page.locator('dialog').waitFor();
  },

  async 'a page of a PDF'(stage) {
    const { page, person } = stage;
    await person.folder('/Papiers');
    await person.file('/Papiers/lettre.pdf', PDF);
    await stage.go('/files/Papiers?see=lettre.pdf', 'dialog iframe');
    // The viewer of Chromium is a frame of its own.
    await stage.until('the viewer shows it', () => page.frames().some((frame) => frame.url().startsWith('chrome-extension://')));
    await page.waitForTimeout(500);
    await stage.look('pdf');
  },

  async 'a text is read, changed and saved; a change of somebody else is not lost'(stage) {
    const { page, person } = stage;
    await person.folder('/Textes');
    await person.file('/Textes/plan.md', '# Plan\n\n<img src=x onerror=alert(1)> et [lien](javascript:alert(1))\n\n- [x] fait\n- [ ] à faire\n');
    await stage.go('/files/Textes', '[data-index]');
    await page.getByRole('link', { name: 'plan.md' }).click();
    await page.getByRole('heading', { name: 'Plan', exact: true }).waitFor();
    equal(await page.locator('.markdown img').count(), 0);
    equal(await page.locator('.markdown a').count(), 0);
    await page.getByText('<img src=x onerror=alert(1)>').waitFor();
    await stage.look('markdown');
    await page.getByRole('button', { name: 'Modifier' }).click();
    await page.locator('textarea').fill('# Autre plan\n');
    await stage.look('editeur');
    await page.keyboard.press('Control+s');
    await page.getByText('Enregistré').first().waitFor();
    equal((await person.read('/Textes/plan.md')).toString(), '# Autre plan\n');
    await page.locator('textarea').fill('# Le mien\n');
    await person.call('PUT', '/content', { query: { path: '/Textes/plan.md' }, body: '# Le sien\n' });
    await page.getByRole('button', { name: 'Enregistrer', exact: true }).click();
    await page.getByRole('dialog', { name: 'Le fichier a changé entre-temps' }).waitFor();
    await page.getByRole('button', { name: 'Enregistrer à côté' }).click();
    await stage.until('both are kept', async () => (await person.names('/Textes')).join() === 'plan (2).md,plan.md');
    equal((await person.read('/Textes/plan.md')).toString(), '# Le sien\n');
    equal((await person.read('/Textes/plan (2).md')).toString(), '# Le mien\n');
    await page.keyboard.press('Escape');
    await stage.untilNames(['plan (2).md', 'plan.md']);
    // What is not saved is asked about.
    await page.getByRole('link', { name: 'plan.md', exact: true }).click();
    await page.getByRole('button', { name: 'Modifier' }).click();
    await page.locator('textarea').fill('# Perdu\n');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Continuer à écrire' }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Fermer sans enregistrer' }).click();
    await stage.until('it is closed', async () => (await page.locator('dialog').count()) === 0);
    equal((await person.read('/Textes/plan.md')).toString(), '# Le sien\n');
  },
};
