#!/bin/sh
# Everything a change must pass besides its tests. Stops at the first step that fails.
set -eu
cd "$(dirname "$0")/.."

step() {
  echo "check: $*"
  "$@"
}

# The names in Cargo.toml's [features], so that a new one is checked without a word here.
features=$(awk '/^\[/ { on = $0 == "[features]" } on && /^[a-z][a-z0-9_-]* *=/ && $1 != "default" { print $1 }' Cargo.toml)
[ -n "$features" ] || { echo "check: Cargo.toml has no [features]" && exit 1; }

step cargo fmt --check
step cargo fmt --check --manifest-path benches/peers/Cargo.toml
step cargo fmt --check --manifest-path benches/allocations/Cargo.toml
if command -v shellcheck >/dev/null; then
  step shellcheck --external-sources .ci/run tools/*.sh fixtures/image/*.sh
else
  echo "check: no shellcheck here: the scripts were not checked"
fi
# shellcheck disable=SC2086 # a list of words
step tools/check-tree.sh $features
step cargo test --quiet --locked --test layers

for set in --no-default-features $features --all-features; do
  case $set in
    --*) ;;
    *) set="--no-default-features --features $set" ;;
  esac
  # shellcheck disable=SC2086 # options
  {
    step cargo build --locked $set
    step cargo clippy --locked --all-targets $set -- --deny warnings
  }
done
step cargo clippy --locked --all-targets --manifest-path benches/peers/Cargo.toml -- --deny warnings
step cargo clippy --locked --all-targets --manifest-path benches/allocations/Cargo.toml -- --deny warnings
# Optimised, as what is counted is what a release does.
step cargo run --release --locked --manifest-path benches/allocations/Cargo.toml

RUSTDOCFLAGS='--deny warnings'
export RUSTDOCFLAGS
step cargo doc --locked --no-deps --no-default-features
step cargo doc --locked --no-deps --all-features
echo "check: all is well"
