# Process 1 of the guest, in its root file system, run by busybox: see vmrun.sh.
b=/run/vm/busybox job=/run/vm/job
. $job/settings
$b mkdir -p /dev/pts /dev/shm /dev/mqueue
$b mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
$b mount -t tmpfs -o mode=1777 tmpfs /dev/shm
$b mount -t cgroup2 cgroup2 /sys/fs/cgroup
# cgroup v2: controllers can be delegated only where the root has no process.
$b mkdir /sys/fs/cgroup/init
echo 1 > /sys/fs/cgroup/init/cgroup.procs
for controller in $($b cat /sys/fs/cgroup/cgroup.controllers); do
  echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
done
for link in fd:/proc/self/fd stdin:/proc/self/fd/0 stdout:/proc/self/fd/1 stderr:/proc/self/fd/2; do
  [ -e "/dev/${link%%:*}" ] || $b ln -s "${link#*:}" "/dev/${link%%:*}"
done
[ -x /sbin/modprobe ] && echo /sbin/modprobe > /proc/sys/kernel/modprobe
$b hostname vm
echo "127.0.0.1 localhost vm" > /etc/hosts
$b ip link set lo up
# The output goes through pipes: a virtio port can be opened only once.
for port in /sys/class/virtio-ports/*; do
  [ -e "$port/name" ] && read -r name < "$port/name" && eval "port_$name=/dev/${port##*/}"
done
$b mkfifo /run/vm/out /run/vm/err
$b cat /run/vm/out > "$port_out" & out=$!
$b cat /run/vm/err > "$port_err" & err=$!
# Kept open until the end.
exec 3> /run/vm/out 4> /run/vm/err
read -r uptime _ < /proc/uptime
echo "$uptime" > $job/began
$b setsid /bin/bash $job/command < /dev/null >&3 2>&4 3>&- 4>&- & command=$!
wait $command
status=$?
exec 3>&- 4>&-
# A daemon that was left behind may hold the pipes open: they get a moment.
($b sleep 2; $b kill $out $err) 2>/dev/null &
wait $out
wait $err
read -r uptime _ < /proc/uptime
echo "$uptime" > $job/ended
$b sync -f "$VM_DIRECTORY" 2>/dev/null || $b sync
echo $status > $job/status.new
$b mv $job/status.new $job/status
$b reboot -f
