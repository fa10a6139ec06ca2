#!/bin/sh
# Proves that no feature brings an async crate, and that the library without features stays small.
# Arguments: the features.
set -eu
cd "$(dirname "$0")/.."

most=30
async='tokio|tokio-.*|hyper|hyper-.*|mio|smol|smol-.*|futures|futures-.*|async-.*|.*-async|polling'

# The crates of a tree with the given options, a name and a version a line, ourselves among them.
crates() {
  tree=$(cargo tree --locked --prefix none --format '{p}' --no-default-features "$@")
  printf '%s\n' "$tree" | sed 's/ (.*//' | sort -u
}

status=0
for feature in '' "$@"; do
  # Every target, and what builds and tests need too.
  found=$(crates --target all --edges normal,build,dev --features "$feature")
  found=$(printf '%s\n' "$found" | grep -xE "($async) v.*" || :)
  if [ -n "$found" ]; then
    printf 'async crates with feature %s:\n%s\n' "${feature:-none}" "$found"
    status=1
  fi
done

normal=$(crates --edges normal)
count=$(printf '%s\n' "$normal" | wc -l)
echo "crates without default features: $count (at most $most)"
[ "$count" -le $most ] || status=1
exit $status
