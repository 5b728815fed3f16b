#!/usr/bin/env bash
# Fails when two versions of a crate whose types cross our borders are in the dependency tree: a
# batch of one arrow is a stranger to the other.
set -euo pipefail
cd "$(dirname "$0")/.."

crates='arrow(-[a-z]+)*|parquet|datafusion(-[a-z]+)*|object_store|sqlparser|tokio'
doubles=$(cargo tree --edges normal,build,dev --prefix none --format '{p}' |
    awk '{print $1, $2}' | sort -u |
    grep -E "^($crates) " | awk '{print $1}' | uniq -d)
if [ -n "$doubles" ]; then
    echo "several versions in the dependency tree of:" $doubles >&2
    cargo tree --duplicates --depth 0 >&2
    exit 1
fi
echo "one version each of arrow, parquet, datafusion, object_store, sqlparser, tokio"
