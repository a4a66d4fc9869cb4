#!/usr/bin/env bash
# What takes too long for every change: a million random policies and requests against the model of the language, a hundred thousand
# rounds of messages through the dialects, and the fuzz targets as far as they are there. PORTCULLIS_MODEL_PAIRS,
# PORTCULLIS_MODEL_SEED, PORTCULLIS_ROUND_TRIPS, PORTCULLIS_ROUND_TRIP_SEED and PORTCULLIS_FUZZ_SECONDS change how long.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
export PORTCULLIS_MODEL_PAIRS="${PORTCULLIS_MODEL_PAIRS:-1000000}"
export PORTCULLIS_MODEL_SEED="${PORTCULLIS_MODEL_SEED:-1}"
export PORTCULLIS_ROUND_TRIPS="${PORTCULLIS_ROUND_TRIPS:-100000}"
export PORTCULLIS_ROUND_TRIP_SEED="${PORTCULLIS_ROUND_TRIP_SEED:-1000}"
export PORTCULLIS_PRINCIPAL_CALLS="${PORTCULLIS_PRINCIPAL_CALLS:-200000}"
export PORTCULLIS_APPROVAL_ROUNDS="${PORTCULLIS_APPROVAL_ROUNDS:-1000}"
export PORTCULLIS_APPROVAL_SETS="${PORTCULLIS_APPROVAL_SETS:-1000}"
export PORTCULLIS_APPROVAL_KILLS="${PORTCULLIS_APPROVAL_KILLS:-200}"
export PORTCULLIS_APPROVALS_PENDING="${PORTCULLIS_APPROVALS_PENDING:-10000}"
export PORTCULLIS_AUDIT_KILLS="${PORTCULLIS_AUDIT_KILLS:-200}"
export PORTCULLIS_HOSTILE_EVERY="${PORTCULLIS_HOSTILE_EVERY:-1}"
export PORTCULLIS_AUDIT_INDEX_ROUNDS="${PORTCULLIS_AUDIT_INDEX_ROUNDS:-2000}"
export PORTCULLIS_AUDIT_RECORDS="${PORTCULLIS_AUDIT_RECORDS:-5000000}"
export PORTCULLIS_SESSIONS="${PORTCULLIS_SESSIONS:-100000}"
export PORTCULLIS_TAMPERINGS="${PORTCULLIS_TAMPERINGS:-1000}"
export PORTCULLIS_TAMPERING_SEED="${PORTCULLIS_TAMPERING_SEED:-1}"
fuzz_seconds="${PORTCULLIS_FUZZ_SECONDS:-3600}"
ran=()

SECONDS=0
step() { printf '\n=== [%4d s] %s\n' "$SECONDS" "$*"; }

step "the model of the policy language: $PORTCULLIS_MODEL_PAIRS pairs, seed $PORTCULLIS_MODEL_SEED"
cargo test --locked --release --test policy_model -- --nocapture
ran+=("policy_model: $PORTCULLIS_MODEL_PAIRS pairs, seed $PORTCULLIS_MODEL_SEED")

step "messages through the dialects: $PORTCULLIS_ROUND_TRIPS rounds from seed $PORTCULLIS_ROUND_TRIP_SEED"
cargo test --locked --release --test dialects -- --nocapture
ran+=("dialects: $PORTCULLIS_ROUND_TRIPS rounds from seed $PORTCULLIS_ROUND_TRIP_SEED")

step "principals that share upstreams: $PORTCULLIS_PRINCIPAL_CALLS calls; sessions that nobody ends: $PORTCULLIS_SESSIONS"
cargo test --locked --release --test it -- --nocapture many_principals:: sessions_flat::
ran+=("many_principals: $PORTCULLIS_PRINCIPAL_CALLS calls" "sessions_flat: $PORTCULLIS_SESSIONS sessions")

approvals="$PORTCULLIS_APPROVAL_ROUNDS races, $PORTCULLIS_APPROVAL_SETS sets of arguments, $PORTCULLIS_APPROVAL_KILLS kills"
step "approvals: $approvals"
cargo test --locked --release --test it -- --nocapture approvals:: --skip approvals::many::
ran+=("approvals: $approvals")

step "the index of the audit log: $PORTCULLIS_AUDIT_INDEX_ROUNDS rounds of changes, then questions about $PORTCULLIS_AUDIT_RECORDS records"
cargo test --locked --release --lib -- --nocapture audit::index::
cargo bench --locked --bench audit_log -- "$PORTCULLIS_AUDIT_RECORDS"
ran+=("audit index: $PORTCULLIS_AUDIT_INDEX_ROUNDS rounds, $PORTCULLIS_AUDIT_RECORDS records")

# By themselves: they say how long pages take.
step "approvals: $PORTCULLIS_APPROVALS_PENDING that wait"
cargo test --locked --release --test it -- --nocapture --test-threads 1 approvals::many::
ran+=("approvals: $PORTCULLIS_APPROVALS_PENDING that wait")

step "the audit: $PORTCULLIS_AUDIT_KILLS kills under load, one in $PORTCULLIS_HOSTILE_EVERY hostile strings in every field"
cargo test --locked --release --test it -- --nocapture evidence::
ran+=("evidence: $PORTCULLIS_AUDIT_KILLS kills, one in $PORTCULLIS_HOSTILE_EVERY hostile strings in every field")

step "tampering with the audit log: $PORTCULLIS_TAMPERINGS places of each kind, seed $PORTCULLIS_TAMPERING_SEED"
cargo test --locked --release --lib -- --nocapture audit::verify::tests::tampering::
ran+=("tampering: $PORTCULLIS_TAMPERINGS places of each kind, seed $PORTCULLIS_TAMPERING_SEED")
if [ -e tests/peers/.installed ]; then
  step "receivers of the audit that are down for a minute"
  cargo build --locked
  SINKS_DOWN_MS=60000 bash tests/peers/e2e.sh sinks
  ran+=("sinks: receivers down for a minute")
else
  ran+=("no peers here (tests/peers/install.sh): receivers of the audit were not down for a minute")
fi

if [ -f fuzz/Cargo.toml ]; then
  # cargo-fuzz needs a nightly toolchain; fuzz/README.md says which version of it, and why the sanitizer lets one thing be.
  export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_odr_violation=0}"
  for target in $(cargo +nightly fuzz list); do
    step "fuzz $target: $fuzz_seconds s"
    cargo +nightly fuzz run "$target" -- \
      -dict="fuzz/$target.dict" -max_total_time="$fuzz_seconds" -rss_limit_mb=4096 -timeout=30
    ran+=("fuzz $target: $fuzz_seconds s")
  done
else
  ran+=("no fuzz targets here")
fi

step 'all passed'
printf '%s\n' "${ran[@]}"
