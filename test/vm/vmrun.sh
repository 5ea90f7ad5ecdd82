#!/bin/bash
# Runs one command, as root, in a throw-away virtual machine whose kernel has what the tests of many
# hosts need (ESP, XFRM interfaces, WireGuard, VXLAN, nftables) where this machine's kernel has not.
#
#   vmrun.sh --setup                     fetches and prepares the kernel, once
#   vmrun.sh [OPTION…] -- COMMAND ARG…   runs COMMAND in a fresh machine
#
# QEMU emulates the processor (no KVM needed) and starts Debian's kernel directly; neither needs
# root. The guest sees
#   /       this machine's root file system, read-only over 9p, a tmpfs overlaid: writes work and
#           are gone with the machine;
#   $PWD    the current directory, at the same path, writable: writes go to the real files;
#   /run    an empty tmpfs; /proc, /sys, /dev its own; cgroup v2 at /sys/fs/cgroup.
# It has no network device but lo. COMMAND's output comes out of vmrun.sh as it is written, its exit
# status becomes that of vmrun.sh. Machines of one user run one after another: two at once on two
# cores starve each other.
#
#   --timeout SEC  ends the machine after SEC seconds                  [300]
#   --mem SIZE     memory of the guest                                 [2G]
#   --cpus N       processors of the guest                             [2]
#   --kernel LINE  more for the kernel's command line
#   --env NAMES    more variables to hand over, separated by blanks
#                  (PATH, HOME, LANG, LC_ALL and TERM always are)
#   --verbose      the kernel's log and timings on standard error
# Variables: LARIAT_VM_CACHE is where --setup puts things [${XDG_CACHE_HOME:-~/.cache}/lariat-vm],
# LARIAT_VM_ACCEL is tcg or kvm [tcg].
#
# Exit status: COMMAND's, 128 + N where signal N ended it; 124 out of time; 125 the machine failed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cache=${LARIAT_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lariat-vm}
timeout=300 memory=2G cpus=2 verbose='' kernel_more='' handed=(PATH HOME LANG LC_ALL TERM)
# How long another machine of this user is waited for: more than the longest suite may take.
readonly queue_seconds=600

die() { echo "vmrun: $*" >&2; exit 125; }

while [ $# -gt 0 ]; do
  case $1 in
    --setup) exec "$here/prepare_vm.sh" "$cache" ;;
    --timeout) timeout=$2; shift ;;
    --mem) memory=$2; shift ;;
    --cpus) cpus=$2; shift ;;
    --kernel) kernel_more=$2; shift ;;
    --env) read -ra more <<< "$2"; handed+=("${more[@]}"); shift ;;
    --verbose) verbose=1 ;;
    --) shift; break ;;
    *) die "unknown option $1" ;;
  esac
  shift
done
[ $# -gt 0 ] || die "no command: vmrun.sh [OPTION…] -- COMMAND ARG…"
"$here/prepare_vm.sh" --check "$cache" || die "not set up: run $0 --setup"
cache=$(cd "$cache" && pwd -P) directory=$(pwd -P)
[ "$directory" != / ] || die "the current directory must not be /"

exec 8> "$cache/.machine"
flock --wait "$queue_seconds" 8 || die "another machine has run for $queue_seconds s"

job=$(mktemp -d "${TMPDIR:-/tmp}/lariat-vm.XXXXXX") qemu='' pumps=()
cleanup() {
  local pump
  trap - EXIT
  [ -z "$qemu" ] || { kill "$qemu"; wait "$qemu"; } 2>/dev/null || true
  for pump in "${pumps[@]}"; do kill "$pump" 2>/dev/null || true; done
  rm -rf "$job"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

printf 'VM_DIRECTORY=%q VM_CACHE=%q VM_KERNEL=%q\n' \
  "$directory" "$cache" "$(cat "$cache/kernel")" > "$job/settings"
cp "$here/guest_main.sh" "$job/main"
{
  for name in "${handed[@]}"; do
    [ -z "${!name+set}" ] || printf 'export %s=%q\n' "$name" "${!name}"
  done
  printf 'cd %q || exit 125\nexec' "$directory"
  printf ' %q' "$@"
  echo
} > "$job/command"
mkfifo "$job/out" "$job/err"

case ${LARIAT_VM_ACCEL:-tcg} in
  tcg) machine=(-accel "tcg,thread=multi,tb-size=512" -cpu max) ;;
  kvm) machine=(-accel kvm -cpu host) ;;
  *) die "LARIAT_VM_ACCEL must be tcg or kvm" ;;
esac
shares=()
share() { # share TAG PATH [OPTIONS]; QEMU wants a comma in a path twice
  shares+=(-fsdev "local,id=$1,path=${2//,/,,},security_model=none,multidevs=remap${3:-}"
    -device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}
share root / ,readonly=on
share job "$job"
share directory "$directory"
kernel_line="console=ttyS0 panic=-1 reboot=t mitigations=off audit=0 random.trust_cpu=on"
kernel_line+=" tsc=reliable cryptomgr.notests${kernel_more:+ $kernel_more}"
if [ -n "$verbose" ]; then kernel_line+=" loglevel=6"; else kernel_line+=" quiet"; fi

cat "$job/out" & pumps+=($!)
cat "$job/err" >&2 & pumps+=($!)
started=$EPOCHREALTIME
# timeout ends QEMU when the time is up, setpriv when this script is killed.
setpriv --pdeathsig TERM timeout --foreground -k 5 "$timeout" \
  qemu-system-x86_64 -M q35 "${machine[@]}" -smp "$cpus" -m "$memory" \
  -nodefaults -no-user-config -nographic -no-reboot \
  -kernel "$cache/vmlinux" -initrd "$cache/initramfs.cpio" -append "$kernel_line" \
  -chardev "file,id=console,path=$job/console" -serial chardev:console \
  -device virtio-serial-pci \
  -chardev "file,id=out,path=$job/out" -device virtserialport,chardev=out,name=out \
  -chardev "file,id=err,path=$job/err" -device virtserialport,chardev=err,name=err \
  -object rng-random,id=random,filename=/dev/urandom -device virtio-rng-pci,rng=random \
  "${shares[@]}" < /dev/null > "$job/qemu" 2>&1 8>&- &
qemu=$! ended=0
wait "$qemu" || ended=$?
qemu=''
# In case QEMU never opened them: the pumps would wait for ever.
for pipe in out err; do exec 5<> "$job/$pipe"; exec 5>&-; done
wait "${pumps[@]}" || true
pumps=()

grep -v 'terminating on signal' "$job/qemu" | sed 's/^/vmrun: qemu: /' >&2 || true
if [ -n "$verbose" ]; then
  sed 's/^/vmrun: console: /' "$job/console" >&2
  total=$(awk -v from="$started" -v to="$EPOCHREALTIME" 'BEGIN { print to - from }')
  echo "vmrun: $total s in all; command ran from $(cat "$job/began") s to $(cat "$job/ended") s of the guest's time" >&2
fi
[ ! -e "$job/status" ] || exit "$(cat "$job/status")"
[ ! -e "$job/console" ] || tail -n 60 "$job/console" | sed 's/^/vmrun: console: /' >&2
if [ "$ended" = 124 ] || [ "$ended" = 137 ]; then
  echo "vmrun: ended after $timeout s" >&2
  exit 124
fi
die "the machine ended without telling the command's status"
