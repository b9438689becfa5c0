/*
 * Drives the real server with a real browser: `npm run e2e [-- WORD]` (only tests whose name holds the word).
 *
 * Every file `*.tests.js` beside this one exports `tests`: by name, what is done with a `Stage`, on a folder of its own.
 */

import { readdirSync } from 'node:fs';
import { Server } from './server.js';
import { openBrowser, Stage } from './stage.js';

const [word = ''] = process.argv.slice(2);
const folder = new URL('.', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.tests.js'));
const begun = Date.now();
const failed = [];
let passed = 0;

const server = new Server();
let browser;
try {
  await server.start();
  browser = await openBrowser();
  const camille = server.person('camille', ['--admin']);
  const open = (options) => Stage.open(browser, camille, options);
  for (const file of files) {
    const { tests } = await import(new URL(file, folder));
    for (const [name, test] of Object.entries(tests)) {
      const title = `${file.replace('.tests.js', '')}: ${name}`;
      if (!title.includes(word)) continue;
      const at = Date.now();
      let stage;
      try {
        stage = await open(test.options);
        await test(stage, { server, browser, open });
        await stage.close();
        passed += 1;
        console.log(`ok     ${title} (${Date.now() - at} ms)`);
      } catch (error) {
        failed.push(title);
        console.log(`FAILED ${title} (${Date.now() - at} ms)\n${error.stack ?? error}`);
        if (stage?.faults.length) console.log(stage.faults.join('\n'));
        await stage?.page.screenshot({ path: new URL('../../test-results/failed.png', folder).pathname }).catch(() => {});
        await stage?.context.close().catch(() => {});
      }
    }
  }
} finally {
  await browser?.close();
  server.stop();
}
console.log(`${passed} passed, ${failed.length} failed, in ${Math.round((Date.now() - begun) / 1000)} s`);
process.exit(failed.length > 0 || passed === 0 ? 1 : 0);
