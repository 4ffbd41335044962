#!/bin/bash
# Runs a command under another kernel: boot.sh VERSION COMMAND...
#
# VERSION is one of Debian's kernel packages (linux-image-VERSION-amd64, or what `latest 6.1` finds:
# give `6.1` or `6.12`). It is fetched into build/kernel and not installed. The guest is QEMU with
# software emulation: slow, but it needs nothing of the machine. It sees the host's root folder read
# only; what it writes is gone when it ends. The command runs as root in the current folder.
# The guest's clock counts its instructions, a nanosecond each, and the machine's time only while
# it idles. So it sees a machine of an even pace, as slow as a third of a real one, however much
# slower it is emulated and whatever else the host does: limits of time and shares of CPU time hold.
# That allows one CPU. GUEST_MEMORY: MiB; GUEST_TIMEOUT: seconds of the host.
# Exit code: the command's; 125: the guest did not come so far.
set -eu
cd_to=$PWD
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
HERE=$ROOT/tools/kernel
WORK=$ROOT/build/kernel
MEMORY=${GUEST_MEMORY:-2048}
LIMIT=${GUEST_TIMEOUT:-36000}
RUN='' QEMU=''

give_up() {
	echo "boot.sh: $*" >&2
	exit 125
}

clean_up() {
	[ -z "$QEMU" ] || kill "$QEMU" 2>/dev/null || true
	[ -z "$RUN" ] || rm -rf "$RUN"
}
trap clean_up EXIT
trap 'exit 125' INT TERM

[ $# -ge 2 ] || give_up "usage: boot.sh VERSION COMMAND..."
wanted=$1
shift
for tool in qemu-system-x86_64 busybox depmod; do
	command -v $tool >/dev/null || give_up "no $tool: make deps-kernel, and is /usr/sbin in PATH?"
done

# The newest package of a series: 6.1 -> 6.1.0-50, 6.12 -> 6.12.113+deb12
version=$wanted
if [[ $wanted =~ ^[0-9]+\.[0-9]+$ ]]; then
	version=$(apt-cache search --names-only "^linux-image-${wanted//./\\.}\..*[0-9]-amd64\$" |
		sed -n 's/^linux-image-\(.*\)-amd64 - .*/\1/p' | grep -v 'cloud\|-rt$' |
		sort -V | tail -n 1)
	for have in "$WORK/$wanted".*/files; do
		[ -n "$version" ] || [ ! -d "$have" ] || version=$(basename "${have%/files}")
	done
fi
[ -n "$version" ] || give_up "no package linux-image-$wanted...-amd64: apt-get update"

# Unpacked beside, then named: half of it is never taken for all.
files=$WORK/$version/files
if [ ! -d "$files" ]; then
	rm -rf "${WORK:?}/$version"
	mkdir -p "$WORK/$version"
	(cd "$WORK/$version" && apt-get -q download "linux-image-$version-amd64" >/dev/null 2>&1) ||
		give_up "linux-image-$version-amd64 cannot be fetched"
	dpkg-deb -x "$WORK/$version"/*.deb "$WORK/$version/new"
	rm "$WORK/$version"/*.deb
	mv "$WORK/$version/new" "$files"
fi

# Guests of one kernel may run side by side.
RUN=$(mktemp -d "$WORK/$version/run.XXXXXX")
initrd=$RUN/initrd
mkdir -p "$initrd/bin" "$initrd/lib/modules"
cp "$(command -v busybox)" "$initrd/bin/busybox"
cp "$HERE/init" "$initrd/init"
chmod +x "$initrd/init"
modules=$(echo "$files"/lib/modules/*)
target=$initrd/lib/modules/$(basename "$modules")
mkdir -p "$target"
for folder in drivers/virtio net/9p net/tls fs/9p fs/netfs fs/fscache fs/overlayfs; do
	[ ! -d "$modules/kernel/$folder" ] || cp -r "$modules/kernel/$folder" "$target/"
done
find "$target" -name '*.ko.xz' -exec xz -d {} +
depmod -b "$initrd" "$(basename "$modules")" 2>/dev/null
{
	echo 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root'
	for name in CI DAYLIGHT V T; do
		[ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
	done
	printf 'cd %q && exec' "$cd_to"
	printf ' %q' "$@"
	echo
} >"$initrd/command"
(cd "$initrd" && find . | cpio --quiet -o -H newc | gzip -1) >"$RUN/initrd.gz"

# What the command says stands here at once; the other end of the pipe ends with QEMU.
mkfifo "$RUN/serial"
timeout --foreground "$LIMIT" qemu-system-x86_64 -accel tcg,thread=single -icount shift=0 \
	-cpu max,la57=off -smp 1 -m "$MEMORY" -nodefaults -no-reboot -display none -serial stdio \
	-kernel "$(echo "$files"/boot/vmlinuz-*)" -initrd "$RUN/initrd.gz" \
	-append "console=ttyS0 quiet panic=-1 loglevel=3 mitigations=off tsc=reliable" \
	-virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
	</dev/null >"$RUN/serial" 2>&1 &
QEMU=$!
code=''
while IFS= read -r line; do
	line=${line%$'\r'}
	case $line in
	'guest: exit '*) code=${line#guest: exit } ;;
	*'reboot: Power down') ;;
	*) printf '%s\n' "$line" ;;
	esac
done <"$RUN/serial"
QEMU=
[ -n "$code" ] || give_up "the guest ended before the command did, or its time was over"
exit "$code"
