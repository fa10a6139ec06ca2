#!/bin/sh
# Installs and starts a Docker Engine on Debian or Ubuntu where none answers; does nothing where one does.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh

log=/var/log/dockerd.log
pid_file=/var/run/docker.pid
containerd_pid_file=/var/run/docker/containerd/containerd.pid
deadline=60 # seconds: a first start on a slow disk

done_if_answers() {
  ! engine_answers || { echo "an Engine answers at $endpoint: version $(engine_version)" && exit 0; }
}

# Is the process whose id FILE holds a PROGRAM?
runs() {
  [ -s "$1" ] && [ "$(cat "/proc/$(cat "$1")/comm" 2>/dev/null || :)" = "$2" ]
}

if command -v curl >/dev/null; then
  done_if_answers
fi
[ "$endpoint" = unix:///var/run/docker.sock ] || die "$(why_no_engine)"
[ "$(id -u)" = 0 ] || die "root is needed to install and start a Docker Engine: run 'make engine' as root"
install_packages curl
done_if_answers # there was one, but nothing to ask it with
command -v dockerd >/dev/null || install_packages docker.io iptables ca-certificates

daemon=
if runs "$pid_file" dockerd; then
  started="dockerd runs already, and is starting"
elif [ -d /run/systemd/system ] && systemctl start docker; then
  started="systemd started dockerd; its log: journalctl --unit docker"
elif [ "$(cat /proc/1/comm)" = init ] && [ -x /etc/init.d/docker ] && service docker start; then
  started="init started dockerd; its log: /var/log/docker.log"
else
  # Left behind by a machine that stopped at once; dockerd takes any process that has the id now for its own.
  rm -f "$pid_file"
  runs "$containerd_pid_file" containerd || rm -f "$containerd_pid_file"
  setsid dockerd >>"$log" 2>&1 </dev/null &
  daemon=$!
  started="no service manager here: started dockerd as a daemon; its log: $log"
fi
echo "$started"

end=$(($(date +%s) + deadline))
until engine_answers; do
  if [ -n "$daemon" ] && ! [ -e "/proc/$daemon" ]; then
    tail -n 20 "$log" >&2
    die "dockerd ended at once: the last lines of $log are above"
  fi
  [ "$(date +%s)" -lt "$end" ] || die "dockerd does not answer at $endpoint within $deadline s ($started)"
  sleep 0.2
done
done_if_answers
