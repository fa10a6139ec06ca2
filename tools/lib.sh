# shellcheck shell=sh
# What the scripts beside this file share. Sourced, never run; they have `set -eu`.

# Where the Engine is, as every one of them and `longshore` itself understand it.
endpoint=${DOCKER_HOST:-unix:///var/run/docker.sock}

die() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Ask the Engine at $endpoint for PATH, its answer to standard output. Fails where none answers within 5 s.
ask() {
  case $endpoint in
    unix://*) curl --silent --fail --max-time 5 --unix-socket "${endpoint#unix://}" "http://localhost$1" ;;
    tcp://* | http://*) curl --silent --fail --max-time 5 "http://${endpoint#*://}$1" ;;
    *) return 1 ;;
  esac
}

engine_answers() {
  [ "$(ask /_ping 2>/dev/null || :)" = OK ]
}

# The version of the Engine that answers.
engine_version() {
  # Both Docker and podman list themselves first.
  ask /version | grep -o '"Version":"[^"]*"' | head -n 1 | cut -d '"' -f 4
}

# One sentence for a person: why engine_answers failed, and what to do about it.
why_no_engine() {
  socket=${endpoint#unix://}
  if ! command -v curl >/dev/null; then
    echo "curl is needed to ask whether an Engine answers at $endpoint: install it, or run 'make engine' as root"
  elif [ -S "$socket" ] && ! [ -w "$socket" ]; then
    echo "no permission to use $endpoint: be root, or join the group $(stat -c %G "$socket")"
  else
    case $endpoint in
      unix:///var/run/docker.sock)
        echo "no Engine answers at $endpoint: 'make engine' installs and starts one (Debian or Ubuntu, as root)" ;;
      unix://* | tcp://* | http://*)
        echo "no Engine answers at $endpoint (from DOCKER_HOST): start it, or unset DOCKER_HOST and run 'make engine'" ;;
      *) echo "these scripts cannot ask an Engine at $endpoint (from DOCKER_HOST): use unix:// or tcp://" ;;
    esac
  fi
}

# Install those of the given Debian packages that are missing. Touches the network only if any is.
install_packages() {
  missing=
  for package in "$@"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || :)" = installed ] ||
      missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null || die "no apt-get here: install these yourself:$missing"
  [ "$(id -u)" = 0 ] || die "root is needed: apt-get install$missing"
  echo "installing$missing" >&2
  # Standard output may be somebody's data. Anything asked of a person would wait for ever.
  DEBIAN_FRONTEND=noninteractive
  export DEBIAN_FRONTEND
  apt-get -qq update >&2 </dev/null
  # shellcheck disable=SC2086 # a list of words
  apt-get -qq install --yes --no-install-recommends $missing >&2 </dev/null
}
