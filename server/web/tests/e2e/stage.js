/* A browser in front of the server, and what every test asks of it: no error, no forbidden script, no fault that axe knows. */

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const RESULTS = join(here, '../../test-results');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
/** What a browser says when the server refuses: the page shows that itself. */
const REFUSALS = /Failed to load resource: the server responded with a status of (401|403|404|409|412|503|507)/;

export async function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'].concat([
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ]),
  });
}

/** One visitor with a window of their own. */
export class Stage {
  faults = [];
  /** Whether cut connections belong to the test. */
  mayCut = false;

  static async open(browser, person, { isStranger = false, ...options } = {}) {
    const stage = new Stage();
    stage.person = person;
    stage.context = await browser.newContext({
      baseURL: person.url,
      locale: 'fr-FR',
      viewport: { width: 1280, height: 800 },
      acceptDownloads: true,
      ...options,
    });
    stage.context.setDefaultTimeout(8000);
    if (process.env.NUAGE_E2E_DIST) await serveDist(stage.context, person.url);
    const cookie = await person.signIn();
    if (!isStranger) await stage.context.addCookies([cookie]);
    stage.page = await stage.context.newPage();
    stage.listen(stage.page);
    return stage;
  }

  listen(page) {
    page.on('pageerror', (error) => this.faults.push(`error: ${error.stack ?? error}`));
    page.on('console', (message) => {
      const text = message.text();
      if (message.type() !== 'error' || REFUSALS.test(text)) return;
      if (this.mayCut && /net::ERR|Failed to load resource/.test(text)) return;
      this.faults.push(`console: ${text}`);
    });
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText ?? '';
      // Left by going elsewhere, by a download, or given up by the page itself.
      if (why !== 'net::ERR_ABORTED' && !this.mayCut) this.faults.push(`request: ${request.url()} ${why}`);
    });
  }

  /** Opens an address and waits for the list, or for what is named. */
  async go(address, until = '[role=grid], .empty h2, .empty p, h1') {
    await this.page.goto(address);
    await this.page.waitForSelector(until);
  }

  row(name) {
    return this.page.locator('[role=row], [role=gridcell].tile').filter({ has: this.page.getByRole('link', { name, exact: true }) });
  }

  /** The names in the list, as they stand there. */
  names() {
    return this.page.locator('[role=grid] .rows a').allTextContents();
  }

  async until(what, isSo, time = 8000) {
    const end = Date.now() + time;
    let last;
    while (Date.now() < end) {
      last = await isSo();
      if (last === true) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`never: ${what} (last: ${JSON.stringify(last)})`);
  }

  async untilNames(expected) {
    const wanted = JSON.stringify(expected);
    await this.until(`names are ${wanted}`, async () => {
      const names = await this.names();
      return JSON.stringify(names) === wanted ? true : names;
    });
  }

  /** Looks at the screen as it is with axe: light, dark, and 390 pixels wide; keeps a picture of each. */
  async look(name) {
    const { page } = this;
    mkdirSync(RESULTS, { recursive: true });
    const size = page.viewportSize();
    for (const [form, scheme, width] of [['light', 'light', size.width], ['dark', 'dark', size.width], ['narrow', 'light', 390]]) {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: size.height });
      await page.waitForTimeout(120);
      await page.screenshot({ path: join(RESULTS, `${name}-${form}.png`) });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) this.faults.push(`${name} (${form}): ${wide} px too wide`);
      await page.evaluate(axe);
      const found = await page.evaluate(
        (rules) => globalThis.axe.run(document, { runOnly: rules, resultTypes: ['violations'] }),
        // In the dark nothing is other than the colours.
        form === 'dark' ? { type: 'rule', values: ['color-contrast'] } : { type: 'tag', values: RULES },
      );
      for (const { id, nodes } of found.violations) {
        const first = nodes[0];
        this.faults.push(`axe, ${name} (${form}): ${id} ${nodes.length}× ${first.html.slice(0, 160)} ${first.failureSummary?.replaceAll('\n', ' ').slice(0, 240)}`);
      }
    }
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize(size);
  }

  async close() {
    await this.context.close();
    if (this.faults.length > 0) throw new Error(this.faults.join('\n'));
  }
}

/** With NUAGE_E2E_DIST=1 the page comes from `dist`, not from the program: for those who change the page alone. */
async function serveDist(context, url) {
  const dist = join(here, '../../dist');
  const rust = readFileSync(join(here, '../../../src/web/assets.rs'), 'utf8');
  const policy = /const POLICY: &str = "([^"]*)"/.exec(rust)[1].replace(/\\\n\s*/g, '');
  const types = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
  await context.route(/\/(assets\/|favicon\.svg$)/, (route) => {
    const path = join(dist, new URL(route.request().url()).pathname);
    // Where a redirect led, the page is that of the program.
    if (!existsSync(path)) return route.fallback();
    return route.fulfill({ path, contentType: types[extname(path)] });
  });
  const places = /^\/($|(files|shared|recent|favorites|trash|versions|search|account|admin)(\/|$))/;
  await context.route(
    (address) => address.origin === url && places.test(address.pathname),
    (route) =>
      route.fulfill({
        path: join(dist, 'index.html'),
        headers: { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy },
      }),
  );
}

export function equal(actual, expected, what = '') {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what}\n  expected ${e}\n  found    ${a}`);
}
