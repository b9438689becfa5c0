/* What is sent arrives, whole, whatever happens on the way; and the page says the truth about it. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PART } from './server.js';
import { equal, Stage } from './stage.js';

const CONTENT = /\/api\/v1\/content/;
const PARTS = /\/api\/v1\/uploads\/[^/]+\/\d+$/;
const some = (name, size = 2000) => ({ name, mimeType: 'application/octet-stream', buffer: randomBytes(size) });
const many = (count) => Array.from({ length: count }, (_, index) => some(`f${index}.bin`, 500 + index * 10));
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

async function choose(stage, files) {
  await stage.page.setInputFiles('input[type=file]:not([webkitdirectory])', files);
}

async function arrived(stage, folder, files) {
  await stage.until('all have arrived', async () => {
    const names = await stage.person.names(folder);
    return names.length >= files.length ? true : names.length;
  }, 30_000);
  for (const file of files) {
    equal(digest(await stage.person.read(`${folder}/${file.name}`)), digest(file.buffer), file.name);
  }
}

const tray = (stage) => stage.page.getByRole('region', { name: 'Envois' });
const says = (stage, text) => tray(stage).getByText(text).first().waitFor({ timeout: 20_000 });

export const tests = {
  async 'files that are chosen, and the way back'(stage) {
    const { page, person } = stage;
    await person.folder('/Envoi');
    await stage.go('/files/Envoi', 'h2');
    const files = [some('un.bin'), some('vide.bin', 0), some('trois.bin', 300_000)];
    await choose(stage, files);
    await says(stage, '3 sur 3 fichiers');
    await arrived(stage, '/Envoi', files);
    await stage.untilNames(['trois.bin', 'un.bin', 'vide.bin']);
    await stage.look('envois');
    await page.locator('.toast').getByRole('button', { name: 'Annuler' }).click();
    await stage.until('they are gone again', async () => (await person.names('/Envoi')).length === 0);
  },

  async 'a folder with all that is in it'(stage) {
    const { page, person } = stage;
    const home = mkdtempSync(join(tmpdir(), 'nuage-folder-'));
    let count = 0;
    for (const way of ['Cours', 'Cours/A', 'Cours/A/B', 'Cours/été']) {
      mkdirSync(join(home, way), { recursive: true });
      for (let index = 0; index < 30; index += 1) writeFileSync(join(home, way, `${index}.txt`), `${way} ${(count += 1)}`);
    }
    await person.folder('/Dossiers');
    await stage.go('/files/Dossiers', 'h2');
    await page.setInputFiles('input[webkitdirectory]', join(home, 'Cours'));
    await says(stage, '120 sur 120 fichiers');
    for (const way of ['Cours', 'Cours/A', 'Cours/A/B', 'Cours/été']) {
      const names = (await person.names(`/Dossiers/${way}`)).filter((name) => name.endsWith('.txt'));
      equal(names.length, 30, way);
      equal((await person.read(`/Dossiers/${way}/7.txt`)).toString().startsWith(`${way} `), true);
    }
    rmSync(home, { recursive: true });
  },

  async 'files that are dropped'(stage) {
    const { page, person } = stage;
    await person.folder('/Chute');
    await person.folder('/Chute/Dedans');
    await stage.go('/files/Chute', '[data-index]');
    const drop = async (target, name) => {
      const data = await page.evaluateHandle((name) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(['dropped'], name));
        return transfer;
      }, name);
      for (const type of ['dragenter', 'dragover', 'drop']) await page.dispatchEvent(target, type, { dataTransfer: data });
    };
    await drop('.page', 'ici.txt');
    await drop('[data-index="0"]', 'dedans.txt');
    await stage.until('both are there', async () => {
      return (await person.names('/Chute')).includes('ici.txt') && (await person.names('/Chute/Dedans')).includes('dedans.txt');
    });
  },

  async 'one request in five refused, one cut, answers lost: all arrive, none twice'(stage) {
    const { page, person } = stage;
    stage.mayCut = true;
    await person.folder('/Pannes');
    await stage.go('/files/Pannes', 'h2');
    let count = 0;
    const faults = { refused: 0, cut: 0, lost: 0 };
    await page.route(CONTENT, async (route) => {
      if (route.request().method() !== 'PUT') return route.fallback();
      count += 1;
      if (count % 5 === 1) {
        faults.refused += 1;
        return route.fulfill({ status: 503, headers: { 'Retry-After': '1' }, contentType: 'application/problem+json', body: '{"code":"unavailable"}' });
      }
      if (count % 7 === 2) {
        faults.cut += 1;
        return route.abort('connectionreset');
      }
      if (count % 7 === 5) {
        faults.lost += 1;
        await route.fetch();
        return route.abort('connectionreset');
      }
      return route.fallback();
    });
    const files = many(24);
    await choose(stage, files);
    await says(stage, '24 sur 24 fichiers');
    await arrived(stage, '/Pannes', files);
    equal((await person.names('/Pannes')).length, 24, 'no copy beside');
    equal(faults.refused > 2 && faults.cut > 1 && faults.lost > 1, true, JSON.stringify(faults));
  },

  async 'a large file in parts: paused, gone on with, and after the page was closed'(stage) {
    const { page, person } = stage;
    await person.folder('/Grands envois');
    await stage.go('/files/Grands%20envois', 'h2');
    page.on('dialog', (dialog) => dialog.accept());
    const file = { ...some('film.mp4', 6 * PART + 12_345) };
    const path = join(mkdtempSync(join(tmpdir(), 'nuage-part-')), 'film.mp4');
    writeFileSync(path, file.buffer);
    const sent = [];
    let slow = true;
    await page.route(PARTS, async (route) => {
      if (slow) await new Promise((resolve) => setTimeout(resolve, 250));
      sent.push(Number(route.request().url().split('/').pop()));
      await route.fallback().catch(() => {});
    });
    await choose(stage, path);
    await stage.until('two parts are sent', () => sent.length >= 2);
    await tray(stage).getByRole('button', { name: 'Tout suspendre' }).click();
    await says(stage, 'Suspendu');
    const before = sent.length;
    await page.waitForTimeout(600);
    equal(sent.length <= before + 1, true, 'nothing is sent while it is paused');
    await tray(stage).getByRole('button', { name: 'Tout reprendre' }).click();
    await stage.until('four parts are sent', () => sent.length >= 4);
    // The page is loaded anew in the midst of it, and the same file chosen again.
    await page.reload();
    await page.waitForSelector('h2');
    const early = new Set(sent);
    slow = false;
    sent.length = 0;
    await choose(stage, path);
    await says(stage, '1 sur 1 fichier');
    equal(sent.length < 6 && sent.length > 0, true, `after: ${sent}; before: ${[...early]}`);
    equal(digest(await person.read('/Grands envois/film.mp4')), digest(file.buffer));
  },

  async 'what is there already is not replaced unasked'(stage) {
    const { page, person } = stage;
    await person.folder('/Conflits');
    for (const name of ['a.txt', 'b.txt', 'c.txt']) await person.file(`/Conflits/${name}`, `old ${name}`);
    await stage.go('/files/Conflits', '[data-index]');
    const fresh = (name) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(`new ${name}`) });
    await choose(stage, [fresh('a.txt'), fresh('b.txt'), fresh('c.txt')]);
    await says(stage, 'Même réponse pour les 3 conflits');
    await stage.look('conflits');
    const answer = (name, words) =>
      tray(stage).getByRole('listitem').filter({ hasText: name }).getByRole('button', { name: words, exact: true }).click();
    await answer('a.txt', 'Garder les deux');
    await answer('b.txt', 'Remplacer');
    await answer('c.txt', 'Ignorer');
    await stage.until('the answers were followed', async () => (await person.names('/Conflits')).join() === 'a (2).txt,a.txt,b.txt,c.txt');
    const read = async (name) => (await person.read(`/Conflits/${name}`)).toString();
    await stage.until('b is replaced', async () => (await read('b.txt')) === 'new b.txt');
    equal([await read('a.txt'), await read('a (2).txt'), await read('c.txt')], ['old a.txt', 'new a.txt', 'old c.txt']);
    await page.getByRole('button', { name: 'Fermer' }).last().click();
    // One answer for all.
    await choose(stage, [fresh('a.txt'), fresh('c.txt')]);
    await tray(stage).getByRole('checkbox').check();
    await answer('a.txt', 'Remplacer');
    await stage.until('both are replaced', async () => (await read('a.txt')) === 'new a.txt' && (await read('c.txt')) === 'new c.txt');
  },

  async 'no room: it says so, and what fits arrives'(_, { server, browser }) {
    const poor = server.person('pauvre', ['--quota', '100kB']);
    const stage = await Stage.open(browser, poor);
    await stage.go('/files', 'h2');
    await choose(stage, [some('gros.bin', 300_000), some('petit.bin', 2000)]);
    await says(stage, 'Il n’y a plus assez de place.');
    await stage.until('the small one is there', async () => (await poor.names('/')).join() === 'petit.bin');
    await tray(stage).getByRole('button', { name: 'Réessayer les échecs (1)' }).waitFor();
    await stage.close();
  },

  async 'the session ends in the midst of it: nothing is lost'(stage, { server }) {
    const { page, person, context } = stage;
    await person.folder('/Session');
    await stage.go('/files/Session', 'h2');
    const files = many(12);
    let count = 0;
    let isOver = false;
    await page.route(CONTENT, async (route) => {
      if (route.request().method() === 'PUT' && (count += 1) === 5) {
        isOver = true;
        await context.clearCookies();
      }
      await route.fallback();
    });
    await choose(stage, files);
    await page.getByRole('dialog', { name: 'Votre session est terminée' }).waitFor({ timeout: 15_000 });
    equal(isOver, true);
    await stage.look('session');
    await context.addCookies([await person.signIn()]);
    await page.getByRole('button', { name: 'Continuer' }).click();
    await says(stage, '12 sur 12 fichiers');
    await arrived(stage, '/Session', files);
    void server;
  },

  async 'no network for a while: it goes on by itself'(stage) {
    const { page, person, context } = stage;
    stage.mayCut = true;
    await person.folder('/Coupure');
    await stage.go('/files/Coupure', 'h2');
    await page.route(CONTENT, async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await route.fallback().catch(() => {});
    });
    const files = many(10);
    await choose(stage, files);
    await page.waitForTimeout(150);
    await context.setOffline(true);
    await says(stage, 'Le serveur ne répond pas');
    await context.setOffline(false);
    await says(stage, '10 sur 10 fichiers');
    await arrived(stage, '/Coupure', files);
  },
};
