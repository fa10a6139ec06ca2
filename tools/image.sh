#!/bin/sh
# Makes the test image and loads it into the Engine that answers, with our own client: no docker program is needed.
# Does nothing where the Engine has it; FORCE=1 makes it anew.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh

name=longshore/busybox:test
engine_answers || die "$(why_no_engine)"
if [ "${FORCE:-}" != 1 ] && ask "/images/$name/json" >/dev/null 2>&1; then
  echo "the Engine at $endpoint has $name (FORCE=1 makes it anew)"
  exit 0
fi

# A file, not a pipe: what stops half-way must not become an image.
tar=$(mktemp)
trap 'rm -f "$tar"' EXIT
trap 'exit 1' HUP INT TERM
fixtures/image/rootfs.sh >"$tar"
cargo run --quiet --example import_image -- "$name" --change 'CMD ["sh"]' <"$tar"
echo "loaded $name into the Engine at $endpoint"
