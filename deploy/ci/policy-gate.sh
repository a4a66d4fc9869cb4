#!/usr/bin/env bash
# Judges a change of the policies before it is merged: policy-gate.sh BASE
# BASE is the commit or branch that the change is to be merged into. Run it at the root of the repository; docs/policy-in-ci.md explains it.
#
#   PORTCULLIS    the binary                                           portcullis
#   CONFIG        the config that the gateway runs with                config/portcullis.yaml
#   POLICIES      the directory that `policies` of the config names    policies/main
#   MIN_COVERAGE  percent of the policy that its cases must exercise   90
#   STRICT        --strict, or empty: warnings are printed and pass    --strict
#   SUMMARY       a file that markdown is added to                     standard output
#   RESULT        a file that `access=same` or `access=changed` is added to (none)
#
# Exit codes: 0 nothing speaks against it, even if access changes; 1 a warning, a broken promise or too little coverage; 2 the input is wrong.
set -euo pipefail

base="${1:?usage: policy-gate.sh BASE}"
portcullis="${PORTCULLIS:-portcullis}"
config="${CONFIG:-config/portcullis.yaml}"
policies="${POLICIES:-policies/main}"
summary="${SUMMARY:-/dev/stdout}"

# 1. It holds, and nothing in it looks like a mistake.
# shellcheck disable=SC2086 # one word or none
"$portcullis" check ${STRICT---strict} --config "$config"

# 2. It keeps its promises, and they cover it.
"$portcullis" test --config "$config" --min-coverage "${MIN_COVERAGE:-90}"

# 3. Who can do what that they could not do before, and the other way round.
old="$(mktemp -d)"
trap 'rm -rf "$old"' EXIT
git rev-parse --verify --quiet "$base^{commit}" >/dev/null || { echo "policy-gate: $base is no commit here" >&2; exit 2; }
if git cat-file -e "$base:$policies" 2>/dev/null; then
  git archive "$base" -- "$policies" | tar -x -C "$old"
else
  mkdir -p "$old/$policies"
  echo 'version: 1' >"$old/$policies/nothing.yaml" # the first policy: before it, nothing was allowed
fi
code=0
"$portcullis" access --config "$config" --policy "$policies" --against "$old/$policies" --markdown >"$old/table.md" || code=$?
case "$code" in
  0) access=same ;;
  1) access=changed ;;
  *) exit "$code" ;;
esac
{
  echo "## What this change does to access"
  echo
  if [ "$access" = same ]; then echo "Nothing: the old and the new policy mean the same."; else cat "$old/table.md"; fi
} >>"$summary"
if [ -n "${RESULT:-}" ]; then echo "access=$access" >>"$RESULT"; fi
