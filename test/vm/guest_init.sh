#!/bin/busybox sh
# Process 1 of the guest until it has its root file system: see vmrun.sh.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
fail() {
  echo "guest: $*" > /dev/console
  $b sleep 0.2
  $b reboot -f
}
while read -r module; do
  $b insmod "/modules/$module" || fail "cannot load $module"
done < /modules/order

options=trans=virtio,version=9p2000.L,msize=1048576
$b mkdir -p /x/lower /x/layer /x/root
$b mount -t 9p -o $options,ro,cache=loose root /x/lower || fail "no root file system"
$b mount -t tmpfs -o size=90%,mode=755 tmpfs /x/layer
$b mkdir /x/layer/upper /x/layer/work
$b mount -t overlay -o lowerdir=/x/lower,upperdir=/x/layer/upper,workdir=/x/layer/work \
  overlay /x/root || fail "no overlay"
root=/x/root
$b mount -t tmpfs -o mode=755 tmpfs $root/run
job=/run/vm/job
$b mkdir -p $root$job $root/run/lock $root/run/netns $root/lib/modules $root/tmp
$b mount -t 9p -o $options,cache=none job $root$job || fail "no job"
$b cp /bin/busybox $root/run/vm/busybox
. $root$job/settings
$b mkdir -p "$root$VM_DIRECTORY"
$b mount -t 9p -o $options,cache=mmap directory "$root$VM_DIRECTORY" || fail "no directory"
# Modules for modprobe, which the kernel calls by itself.
$b mkdir -p "$root/lib/modules/$VM_KERNEL"
$b mount -o bind "$root$VM_CACHE/modules" "$root/lib/modules/$VM_KERNEL" || fail "no modules"
for tool in modprobe rmmod lsmod insmod modinfo; do
  [ -e $root/sbin/$tool ] || $b ln -s /run/vm/busybox $root/sbin/$tool
done
for system in dev sys proc; do $b mount --move /$system $root/$system; done
exec $b switch_root $root /run/vm/busybox sh $job/main < $root/dev/null
