#!/bin/bash
# prepare_vm.sh [--check] DIRECTORY: fetches Debian's kernel and makes of it what vmrun.sh boots.
# Installs nothing; --check only says by its exit status whether that is done.
set -euo pipefail

# Raise this when what is made here changes.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
format="1 $(sha256sum < "$here/guest_init.sh" | cut -c 1-16)"
is_ready() { [ "$(cat "$1/format" 2>/dev/null)" = "$format" ]; }
if [ "$1" = --check ]; then
  is_ready "$2"
  exit
fi

mkdir -p "$1"
cache=$(cd "$1" && pwd -P)
exec 9> "$cache/.preparing"
flock 9
if is_ready "$cache"; then
  echo "vmrun: $cache has $(cat "$cache/kernel")"
  exit 0
fi

die() { echo "vmrun: $*" >&2; exit 125; }

# The meta package is the name of the newest kernel, and changes no more than a name. awk reads on
# to the end, because a pipe that closes early fails under pipefail.
kernel_package() {
  apt-cache show linux-image-amd64 2>/dev/null |
    awk '/^Depends:/ && !name { name = $2 } END { print name }'
}
package=$(kernel_package) || true
if [ -z "$package" ]; then
  apt-get update -q
  package=$(kernel_package)
fi
[ -n "$package" ] || die "apt knows no linux-image-amd64"

work=$cache/work
rm -rf "$work"
mkdir -p "$work/debs" "$work/kernel" "$work/busybox"
trap 'rm -rf "$work"' EXIT
# The sandbox user of apt may not be let into the cache folder.
(cd "$work/debs" && apt-get download -q -o APT::Sandbox::User=root "$package" busybox-static)
dpkg -x "$work"/debs/linux-image-*.deb "$work/kernel"
dpkg -x "$work"/debs/busybox-static_*.deb "$work/busybox"
busybox=$(find "$work/busybox" -path '*bin/busybox' -type f -print -quit)
kernel=$(basename "$work"/kernel/lib/modules/*)

# The kernel uncompressed: QEMU starts it through its PVH entry at once, where emulated unpacking
# takes seconds. Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset and
# payload_length at 0x248.
image=$work/kernel/boot/vmlinuz-$kernel
sectors=$(od -An -tu1 -j $((0x1f1)) -N1 "$image" | tr -d ' ')
read -r offset length < <(od -An -tu4 -j $((0x248)) -N8 "$image")
tail -c +$(((sectors + 1) * 512 + offset + 1)) "$image" | head -c "$length" > "$work/payload" || true
case $(od -An -tx1 -N4 "$work/payload" | tr -d ' ') in
  fd377a58) xz -dc --single-stream < "$work/payload" > "$work/vmlinux" ;;
  28b52ffd) zstd -dcq < "$work/payload" > "$work/vmlinux" || true ;;
  1f8b*) gzip -dc < "$work/payload" > "$work/vmlinux" 2>/dev/null || true ;;
  *) die "$image is packed in an unknown way" ;;
esac
[ "$(od -An -tx1 -N4 "$work/vmlinux" | tr -d ' ')" = 7f454c46 ] || die "no kernel in $image"

# The modules: networking, crypto, and the file systems that hosts of containers want.
from=$work/kernel/lib/modules/$kernel to=$work/root/lib/modules/$kernel
mkdir -p "$to"
drivers='wireguard vxlan geneve ipvlan macvlan bonding vrf veth dummy ifb nlmon tun'
unwanted='bluetooth|mac80211|wireless|nfc|can|ceph|sunrpc|rxrpc|ax25|rose|netrom|tipc|batman-adv'
unwanted+='|6lowpan|ieee802154|mac802154|smc|rds|lapb|x25|phonet|atm|dccp|caif|hsr|appletalk'
unwanted+='|openvswitch|vmw_vsock|dsa|qrtr|mctp|ncsi'
(
  cd "$from/kernel"
  drivers=$(printf 'drivers/net/%s* ' $drivers)
  # shellcheck disable=SC2086 # patterns
  find net crypto lib arch/x86/crypto block fs/{9p,netfs,fscache,overlayfs,fuse} \
    drivers/{virtio,crypto/virtio,char/hw_random} drivers/char/virtio_console.ko* $drivers \
    -name '*.ko*' 2>/dev/null | sort -u | grep -Ev "/($unwanted)/" | sed 's|^|kernel/|' > "$work/modules"
) || true
tar -C "$from" -cf - -T "$work/modules" modules.builtin modules.order | tar -C "$to" -xf -
find "$to" -name '*.ko.xz' -exec xz -d {} +
"$busybox" depmod -b "$work/root" "$kernel"

# The first file system: busybox, guest_init.sh, the modules up to the root file system.
initial=$work/initial seen=' ' order=()
mkdir -p "$initial"/{bin,modules,proc,sys,dev,x}
cp "$busybox" "$initial/bin/busybox"
need() { # need FILE: its dependencies, then itself
  local file=$1 dependency
  case $seen in *" $file "*) return ;; esac
  seen+="$file "
  for dependency in $(awk -v key="$file:" '$1 == key { for (n = 2; n <= NF; n++) print $n }' "$to/modules.dep"); do
    need "$dependency"
  done
  order+=("$file")
}
for module in virtio_pci virtio_console 9pnet_virtio 9p overlay virtio-rng; do
  # What the kernel has built in is no file.
  file=$(awk -F: -v end="/$module.ko" 'substr($1, length($1) - length(end) + 1) == end { print $1 }' "$to/modules.dep")
  [ -z "$file" ] || need "$file"
done
for file in "${order[@]}"; do
  cp "$to/$file" "$initial/modules/"
  basename "$file"
done > "$initial/modules/order"
install -m 755 "$here/guest_init.sh" "$initial/init"
(cd "$initial" && find . | "$busybox" cpio -o -H newc 2>/dev/null) > "$work/initramfs.cpio"

rm -rf "$cache/modules" "$cache/format"
mv "$to" "$cache/modules"
mv -f "$work/vmlinux" "$work/initramfs.cpio" "$cache/"
echo "$kernel" > "$cache/kernel"
echo "$format" > "$cache/format"
echo "vmrun: $cache has $kernel, $(du -sh "$cache/modules" | cut -f1) of modules"
