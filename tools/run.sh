#!/bin/sh
# Builds longshore and runs the first job on the Engine that answers.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh

engine_answers || die "$(why_no_engine)"
# Not --release: it builds in half the time, and `make test` builds the same.
cargo build
tools/image.sh
exec "${CARGO_TARGET_DIR:-target}/debug/longshore" run fixtures/jobs/hello.nomad.hcl
