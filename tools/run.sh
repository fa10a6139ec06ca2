#!/bin/sh
# Builds longshore and runs the first job on the Engine that answers. Where none does, a recording of that is played.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh

job=fixtures/jobs/hello.nomad.hcl recording=fixtures/cassettes/hello.har
if engine_answers; then
  set -- run $job
else
  echo "$(why_no_engine); a recording of $job is played instead"
  set -- -H replay:$recording run $job
fi
# Not --release: it builds in half the time, and `make test` builds the same.
cargo build
[ "$1" != run ] || tools/image.sh
exec "${CARGO_TARGET_DIR:-target}/debug/longshore" "$@"
