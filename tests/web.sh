#!/bin/sh
# Tests the web page: its types and accessible markup, its plain modules, its size, and the whole of it in a real browser
# against target/debug/nuage-server, which must be built. What the screens looked like is below server/web/test-results.
set -eu
cd "$(dirname "$0")/../server/web"

[ -e node_modules/.package-lock.json ] || npm ci --no-audit --no-fund
npm run --silent check
npm test --silent
[ -e dist/.vite/manifest.json ] || npm run --silent build
npm run --silent size
npm run --silent e2e
