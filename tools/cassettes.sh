#!/bin/sh
# Makes the recordings of fixtures/cassettes anew, on the Engine that answers. fixtures/cassettes/README.md says what each shows.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh

engine_answers || die "$(why_no_engine)"
cargo build --locked
tools/image.sh
longshore=${CARGO_TARGET_DIR:-target}/debug/longshore
cassettes=fixtures/cassettes

# The tests of tests/cases, one after the other: what is recorded is then in the order in which it is done.
LONGSHORE_RECORD=all cargo test --locked --test replay recorded:: -- --test-threads 1
LONGSHORE_RECORD=all cargo test --locked --example replayed

place=$(mktemp -d)
recorder=
trap '[ -z "$recorder" ] || kill "$recorder" 2>/dev/null; rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM

# Record a command, which finds the Engine by DOCKER_HOST, into FILE. It must end with STATUS.
record() {
  file=$1 want=$2
  shift 2
  socket=$place/engine.sock
  "$longshore" -H "$endpoint" record --listen "unix://$socket" --out "$cassettes/$file" &
  recorder=$!
  until [ -S "$socket" ]; do
    kill -0 "$recorder" || die "the recorder has ended"
    sleep 0.1
  done
  status=0
  DOCKER_HOST=unix://$socket "$@" || status=$?
  kill -TERM "$recorder"
  wait "$recorder"
  recorder=
  [ "$status" = "$want" ] || die "$1 ended with $status instead of $want"
}

record hello.har 0 "$longshore" --data-dir "$place/data" run fixtures/jobs/hello.nomad.hcl

# Every version of the docker program has a way of its own to ask for the same, and so a recording of its own.
# It runs without its user's configuration, which may have headers and proxies.
DOCKER_CONFIG=$place/docker
export DOCKER_CONFIG
recorded=
for docker in $(printf '%s' "$PATH" | tr : '\n' | sed 's,$,/docker,'); do
  [ -x "$docker" ] || continue
  version=$("$docker" --version | sed -n 's/^Docker version \([0-9]*\.[0-9]*\).*/\1/p')
  case " $recorded " in *" $version "*) continue ;; esac
  recorded="$recorded $version"
  record "docker-run-$version.har" 3 "$docker" run --rm longshore/busybox:test sh -c 'echo hi; exit 3'
done
echo "recorded docker run of the programs here:${recorded:- none}"
# A recorder's files are its user's alone; these are everybody's.
chmod 644 $cassettes/*.har
