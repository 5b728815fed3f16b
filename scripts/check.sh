#!/usr/bin/env bash
# Everything that must hold before a change lands: the same commands for people and for CI.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    printf '\n== %s\n' "$*"
    "$@"
}

run cargo fmt --all --check
run scripts/check-versions.sh
run cargo test
run cargo clippy --all-targets -- --deny warnings
RUSTDOCFLAGS="--deny warnings" run cargo doc --no-deps --document-private-items
