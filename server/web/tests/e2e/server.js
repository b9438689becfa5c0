/* Starts the real server on an empty store, and makes people on it. */

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const workspace = fileURLToPath(new URL('../../../..', import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? join(workspace, 'target');
const program = process.env.NUAGE_E2E_SERVER ?? join(target, 'debug/nuage-server');

// Settings of whoever runs this are none of the server's.
const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NUAGE_')));

/** A part of a large file, in bytes: small, so that a test has several. */
export const PART = 1 << 20;

export class Server {
  #folder = mkdtempSync(join(tmpdir(), 'nuage-e2e-'));
  #child;
  url = '';

  async start() {
    const environment = { ...inherited, NUAGE_DATA_DIR: this.#folder, NUAGE_WEB__UPLOAD_PART: '1MiB' };
    const child = spawn(program, ['serve', '--listen', '127.0.0.1:0'], { env: environment });
    this.#child = child;
    let said = '';
    const port = await new Promise((resolve, reject) => {
      const read = (bytes) => {
        said += bytes;
        const found = /127\.0\.0\.1:(\d+)/.exec(said);
        if (found && found[1] !== '0') resolve(found[1]);
      };
      child.stdout.on('data', read);
      child.stderr.on('data', read);
      child.on('exit', (code) => reject(new Error(`the server ended (${code}):\n${said}`)));
      child.on('error', reject);
    });
    this.url = `http://127.0.0.1:${port}`;
    for (let tries = 0; tries < 100; tries += 1) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => null);
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('the server does not become ready');
  }

  /** Makes somebody; the options are those of `nuage-server user add`. */
  person(name, options = []) {
    const password = `${name}'s own secret`;
    execFileSync(program, ['user', 'add', name, '--password-stdin', ...options], {
      input: `${password}\n`,
      env: { ...inherited, NUAGE_DATA_DIR: this.#folder },
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    return new Person(this.url, name, password);
  }

  stop() {
    this.#child?.removeAllListeners('exit');
    this.#child?.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Somebody with a session of their own, beside the browser: puts things there and looks what has come of them. */
export class Person {
  #cookie = '';
  #mark = '';

  constructor(url, name, password) {
    Object.assign(this, { url, name, password });
  }

  /** Signs in as the page of the server does it; returns the cookies for a browser. */
  async signIn() {
    const page = await fetch(`${this.url}/login?next=%2F`);
    const form = page.headers.getSetCookie().map((one) => one.split(';')[0]);
    const fields = new URLSearchParams();
    for (const [field] of (await page.text()).matchAll(/<input[^>]*>/g)) {
      const of = (name) => new RegExp(`${name}="([^"]*)"`).exec(field)?.[1];
      if (of('name')) fields.set(of('name'), (of('value') ?? '').replaceAll('&amp;', '&').replaceAll('&#x2F;', '/'));
    }
    fields.set('user', this.name);
    fields.set('password', this.password);
    const answer = await fetch(`${this.url}/login`, {
      method: 'POST',
      body: fields,
      headers: { Cookie: form.join('; '), Origin: this.url },
      redirect: 'manual',
    });
    const cookies = answer.headers.getSetCookie().map((one) => one.split(';')[0].split('='));
    const session = cookies.find(([name, value]) => name.includes('session') && value);
    if (!session) throw new Error(`${this.name} could not sign in: ${answer.status}`);
    this.#cookie = session.join('=');
    this.#mark = (await this.call('GET', '/session')).mark;
    return { name: session[0], value: session.slice(1).join('='), url: this.url };
  }

  async send(method, path, { query = {}, json, body, headers = {} } = {}) {
    const answer = await fetch(`${this.url}/api/v1${path}?${new URLSearchParams(query)}`, {
      method,
      body: json ? JSON.stringify(json) : body,
      headers: {
        Cookie: this.#cookie,
        ...(method === 'GET' ? {} : { 'X-Nuage-Mark': this.#mark }),
        ...(json ? { 'Content-Type': 'application/json' } : {}),
        ...headers,
      },
    });
    if (!answer.ok) throw new Error(`${method} ${path} ${JSON.stringify(query)}: ${answer.status} ${await answer.text()}`);
    return answer;
  }

  async call(method, path, options) {
    const text = await (await this.send(method, path, options)).text();
    return text ? JSON.parse(text) : null;
  }

  folder(path) {
    return this.call('POST', '/folders', { json: { path } });
  }

  file(path, body = 'content') {
    return this.call('PUT', '/content', { query: { path }, body, headers: { 'If-None-Match': '*' } });
  }

  async read(path) {
    return Buffer.from(await (await this.send('GET', '/content', { query: { path } })).arrayBuffer());
  }

  async names(path) {
    return (await this.call('GET', '/list', { query: { path } })).columns.name.sort();
  }
}
