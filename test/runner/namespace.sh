#!/bin/bash
# namespace.sh COMMAND…: runs a command as root in throw-away network, mount, process and cgroup
# namespaces. lo is up; what is written to /run, /etc, /opt, /var/lib, /var/log and /var/cache is
# gone afterwards; processes, mounts and cgroups that the command leaves are gone too.
set -u
name=lariat-test.$$
mapfile -t hierarchies < <(findmnt --raw --noheadings --types cgroup,cgroup2 --output TARGET)
groups=()

# A cgroup for everything below, in each hierarchy that lets us have one: runtimes leave theirs.
make_groups() {
  local hierarchy group file
  for hierarchy in "${hierarchies[@]}"; do
    group=$hierarchy/$name
    mkdir "$group" 2>/dev/null || continue
    groups+=("$group")
    # cpuset of cgroup v1 takes no process before these are said.
    for file in cpuset.cpus cpuset.mems; do
      [ -e "$hierarchy/$file" ] && [ -e "$group/$file" ] && cat "$hierarchy/$file" > "$group/$file"
    done
    # In cgroup v2 a group with children that have controllers may not hold processes itself.
    [ -e "$group/cgroup.type" ] && mkdir "$group/init"
  done
}

# What a run that was killed could not remove: groups named for a process that is gone.
sweep_groups() {
  local hierarchy group
  for hierarchy in "${hierarchies[@]}"; do
    for group in "$hierarchy"/lariat-test.*; do
      [ -d "$group" ] && [ ! -e "/proc/${group##*.}" ] || continue
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    done
  done
}

remove_groups() {
  local group
  for group in "${groups[@]}"; do
    # Killed processes leave their group a moment later.
    for _ in $(seq 50); do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
      [ -d "$group" ] || break
      sleep 0.1
    done
  done
}

inside='
set -eu
mount --make-rprivate /
for group in $LARIAT_TEST_GROUPS; do
  mount --bind "$group" "${group%/*}"
done
unset LARIAT_TEST_GROUPS
mount -t tmpfs -o mode=755 lariat-test /run
for directory in /etc /opt /var/lib /var/log /var/cache; do
  layer=/run/.layers$directory
  mkdir -p "$directory" "$layer/upper" "$layer/work"
  mount -t overlay lariat-test \
    -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" "$directory"
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

sweep_groups
make_groups
trap remove_groups EXIT
(
  for group in "${groups[@]}"; do
    echo "$BASHPID" > "$group/cgroup.procs"
  done
  export LARIAT_TEST_GROUPS="${groups[*]}"
  exec unshare --net --mount --pid --cgroup --fork --kill-child=SIGKILL --mount-proc \
    bash -c 'for group in $LARIAT_TEST_GROUPS; do
      [ -d "$group/init" ] && echo 0 > "$group/init/cgroup.procs"; done; '"$inside" lariat-test "$@"
) <&0 &
child=$!
trap 'kill -KILL $child 2>/dev/null' TERM INT
wait "$child"
status=$?
# A signal ends the first wait early; the child is gone by now or soon.
wait "$child" 2>/dev/null
exit "$status"
