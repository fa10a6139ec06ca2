#!/bin/sh
# Runs every test that this machine can run. The last lines say how many live tests ran, or that none did and why.
# With LONGSHORE_SOAK=1 only the live ones, in their long forms. Arguments are handed to the test programs: a name, say.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh

soak=${LONGSHORE_SOAK:-}
status=0
output=$(mktemp)
trap 'rm -f "$output" "$output.failed"' EXIT
trap 'exit 1' HUP INT TERM

if [ "$soak" != 1 ]; then
  cargo test --locked -- "$@" || status=1
fi

# Leave without a live test, for the given reason. A soak is nothing but live tests.
no_live_tests() {
  echo
  echo "live tests: none ran: $1"
  [ "$soak" = 1 ] || echo "most of their cases ran on recordings: fixtures/cassettes/README.md names those that did not"
  [ "$soak" != 1 ] || status=1
  exit $status
}
engine_answers || no_live_tests "$(why_no_engine)"
tools/image.sh || { status=1 && no_live_tests "the test image could not be loaded"; }

# The fault tests start a dockerd of their own.
without=
for program in dockerd unshare busybox; do
  command -v $program >/dev/null || without=$program
done
[ "$(id -u)" = 0 ] || without=root
[ -z "$without" ] || set -- "$@" --skip faults::

# The tests of image pulls start a registry of their own, on loopback and without TLS.
no_registry=
for program in setpriv docker-registry; do
  command -v $program >/dev/null || no_registry=$program
done
case $endpoint in
  unix://*) ;;
  *) no_registry="an Engine on this machine" ;;
esac
case $(ask /version) in
  *'"Podman Engine"'*) no_registry="Docker: podman trusts no registry without TLS, on loopback either" ;;
esac
[ -z "$no_registry" ] || set -- "$@" --skip images:: --skip registries::

# Live tests wait more than they work, but for their long forms.
[ "$soak" = 1 ] || export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 3 / 2))}"

begun=$(date +%s)
passed=0 failed=0
# Adds the numbers of "test result: FAILED. 12 passed; 1 failed; …". The last such line is the program's own: a test may
# run its program again, for a process to itself.
add_counts() {
  line=$(grep '^test result: ' "$output" | tail -n 1)
  number_before() { printf '%s\n' "$line" | sed -n "s/.* \([0-9]*\) $1;.*/\1/p"; }
  passed=$((passed + $(number_before passed) + 0)) failed=$((failed + $(number_before failed) + 0))
}
for program in live cli; do
  # The status goes through a file, since a pipe has that of its last command.
  { cargo test --locked --test $program -- --ignored "$@" 2>&1 || : >"$output.failed"; } | tee "$output"
  add_counts
done
[ ! -e "$output.failed" ] || status=1

echo
[ -z "$without" ] || echo "fault tests: none ran: they need $without"
[ -z "$no_registry" ] || echo "image tests: none ran: they need $no_registry"
echo "live tests: $((passed + failed)) ran in $(($(date +%s) - begun)) s on $endpoint ($(engine_version)):" \
  "$passed passed, $failed failed"
exit $status
