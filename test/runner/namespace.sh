#!/bin/bash
# Runs a command in throw-away network, mount and process namespaces: lo is up, everything written
# to /run, /etc, /opt, /var/lib, /var/log and /var/cache is gone afterwards, and every process that
# the command leaves behind is killed with it.
set -eu
inside='
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 lariat-test /run
for directory in /etc /opt /var/lib /var/log /var/cache; do
  layer=/run/.layers$directory
  mkdir -p "$directory" "$layer/upper" "$layer/work"
  mount -t overlay lariat-test -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" "$directory"
done
mkdir -p /run/netns /run/lariat /run/tmp /run/lock /var/lib/cni /opt/cni/bin /etc/cni/net.d
mount -t tmpfs lariat-test /run/netns
mount --make-shared /run/netns
ip link set lo up
export LARIAT_TEST_NETNS=1 TMPDIR=/run/tmp
# bash stays as process 1: it reaps what the command orphans.
"$@"
exit $?
'
exec unshare --net --mount --pid --fork --kill-child=SIGKILL --mount-proc bash -c "$inside" lariat-test "$@"
