import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Writes the compressed forms beside each text file: the server sends them as they are. */
function compressed(): Plugin {
  const kinds = /\.(js|css|html|svg|json|wasm)$/;
  const options = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
  return {
    name: 'compressed',
    apply: 'build',
    async closeBundle() {
      const files = await readdir('dist', { recursive: true });
      const texts = files.filter((name) => kinds.test(name) && !name.startsWith('.vite'));
      await Promise.all(
        texts.map(async (name) => {
          const path = join('dist', name);
          const bytes = await readFile(path);
          await writeFile(`${path}.br`, await promisify(brotliCompress)(bytes, options));
          await writeFile(`${path}.gz`, await promisify(gzip)(bytes, { level: 9 }));
        }),
      );
    },
  };
}

const server = process.env.NUAGE_SERVER ?? 'http://127.0.0.1:8080';

/** What every screen needs, and the list of files from the start. */
const FIRST = new RegExp(
  [
    'node_modules/svelte/',
    'node_modules/esm-env/',
    'src/routes\\.ts',
    'src/i18n/index\\.ts',
    'src/lib/(actions|api|ask\\.svelte|commands\\.svelte|folder\\.svelte|format|kinds|list|paths|session\\.svelte|theme|undo|view\\.svelte)\\.ts',
    'src/parts/(Dialog|Icon|Menu|MenuButton|NameInput)\\.svelte',
  ].join('|'),
);

export default defineConfig({
  plugins: [svelte(), compressed()],
  build: {
    target: 'es2023',
    manifest: true,
    // Nothing is written into the page itself: its policy forbids what is inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // What a first look at a folder shares with later screens is one file, not twenty small ones.
        codeSplitting: { groups: [{ name: 'base', test: FIRST }] },
      },
    },
  },
  server: {
    proxy: Object.fromEntries(['/api', '/login', '/dav', '/s/'].map((path) => [path, server])),
  },
  test: {
    environment: 'node',
    include: ['tests/unit/**/*.test.ts'],
  },
});
