/* What a browser must fetch, compressed: a first look at a folder, and all there is. Over the budget it fails. */

import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const FIRST_KB = 60;
const ALL_KB = 160;
const dist = new URL('../dist/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'));
const bytes = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;

function withImports(key, found = new Set()) {
  const entry = manifest[key];
  if (!entry || found.has(entry.file)) return found;
  found.add(entry.file);
  for (const other of entry.imports ?? []) withImports(other, found);
  return found;
}

const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
const first = withImports(entry);
// One language is fetched before anything is drawn.
const words = Object.keys(manifest).find((key) => key.endsWith('i18n/fr.ts'));
withImports(words, first);
const scripts = readdirSync(new URL('assets/', dist)).filter((name) => name.endsWith('.js'));
const sum = (files) => files.reduce((all, file) => all + bytes(file), 0) / 1000;
const [firstKb, allKb] = [sum([...first]), sum(scripts.map((name) => `assets/${name}`))];
console.log(`a folder: ${firstKb.toFixed(1)} KB of ${FIRST_KB}; all: ${allKb.toFixed(1)} KB of ${ALL_KB} (JavaScript, gzip)`);
if (firstKb > FIRST_KB || allKb > ALL_KB) process.exit(1);
