#!/usr/bin/env bash
# Everything that must hold before a change goes in. Honours CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
case "$target" in /*) ;; *) target="$PWD/$target" ;; esac
export CARGO_TARGET_DIR="$target"
# In a place of its own: what Kafka's build leaves as the gateway has another feature.
export PORTCULLIS_BIN="$target/debug/peers/portcullis"

# Disks that fail are made by strace and by mounts of one's own: root has both, and then no such test may be left out.
export PORTCULLIS_FAULTS="${PORTCULLIS_FAULTS-$([ "$(id -u)" != 0 ] || ! command -v strace >/dev/null || echo required)}"
work="$(mktemp -d)"
export PORTCULLIS_SKIPPED="$work/skipped"

# Work behind the steps: what it prints is shown if it fails. It takes what the steps leave of the processors.
declare -A behind=()
begin() {
    set -m
    { renice -n 19 "$BASHPID" && "$@"; } >"$work/$1" 2>&1 &
    behind[$1]=$!
    set +m
}
await() {
    local failed=0
    wait "${behind[$1]}" || failed=$?
    unset "behind[$1]"
    [ "$failed" = 0 ] || cat "$work/$1"
    return "$failed"
}
finish() {
    for group in "${behind[@]}"; do kill -- "-$group" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

SECONDS=0
step() { printf '\n=== [%4d s] %s\n' "$SECONDS" "$*"; }

step 'cargo fmt --check'
cargo fmt --check

peers() { bash tests/peers/install.sh; }
begin peers

step 'cargo test'
cargo test --locked

step 'the audit log, as another program verifies it'
PORTCULLIS_PYTHON="${PORTCULLIS_PYTHON:-python3}" cargo test --locked --lib -- audit::verify::tests::peer

step 'install the peers'
await peers

step 'build the gateway and the peer on the Rust SDK'
cargo build --locked --bin portcullis --example peer
mkdir -p "$target/debug/peers"
ln -f "$target/debug/portcullis" "$PORTCULLIS_BIN"

step 'the demo'
"$PORTCULLIS_BIN" demo --once --listen 127.0.0.1:0

# The peers wait more than they compute.
lints() {
    cargo clippy --locked --all-targets --features kafka-tls -- -D warnings &&
        cargo clippy --locked --no-default-features --bin portcullis -- -D warnings &&
        cargo test --locked --features kafka-tls --lib --test it --no-run
}
begin lints

step 'end-to-end tests'
bash tests/peers/e2e.sh

step 'conformance, direct against through, over both revisions, and of tasks'
bash tests/peers/conformance.sh

step 'conformance of the gateway as a client'
bash tests/peers/conformance-client.sh

step 'every client with every server'
bash tests/peers/matrix.sh

step 'conformance of authorization, as a client and as a server'
bash tests/peers/conformance-auth.sh

step 'cargo clippy, with all features that are tested and as in the shipped image, which has no demo'
await lints

step 'Kafka, against the mock cluster of librdkafka (which is C: needs g++ and make)'
cargo test --locked --features kafka-tls --lib --test it -- kafka

if [ -s "$PORTCULLIS_SKIPPED" ]; then
    step 'NOT RUN, since it is not permitted here'
    cat "$PORTCULLIS_SKIPPED"
fi
step 'all passed'
