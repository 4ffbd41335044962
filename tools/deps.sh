#!/bin/bash
# Installs the packages that Daylight needs on Debian 12: deps.sh build|check|kernel|peers. Installs
# only what is missing, says nothing when nothing is. apt starts no daemon while it works here: a
# policy-rc.d stands in its way for that time, unless the machine has one of its own, which stays
# untouched.
set -eu
LC_ALL=C
export LC_ALL

BUILD="gcc libc6-dev make clang llvm libbpf-dev libelf-dev libdw-dev liblzma-dev libbz2-dev
	zlib1g-dev libzstd-dev libssl-dev libjansson-dev uthash-dev libcap-dev libcapstone-dev
	libnghttp2-dev bpftool pkg-config python3 python3-docutils"
CHECK="$BUILD libcmocka-dev libclang-rt-14-dev keystone uwsgi-core uwsgi-plugin-python3 sqlite3
	nginx zstd strace util-linux procps gdb apache2-bin libapache2-mod-wsgi-py3
	python3-eventlet python3-glance python3-uvicorn python3-zstandard haproxy
	memcached openssl curl gnutls-bin nghttp2-client php8.2-fpm gunicorn python3-swift
	mariadb-server-core mariadb-client-core rabbitmq-server python3-pymysql python3-sqlalchemy
	python3-memcache python3-oslo.messaging wrk"
KERNEL="qemu-system-x86 busybox-static kmod cpio xz-utils"
PEERS="linux-perf bpftrace"
POLICY=/usr/sbin/policy-rc.d
POLICY_OURS=''

give_up() {
	echo "deps: $*" >&2
	exit 1
}

remove_policy() {
	if [ -n "$POLICY_OURS" ]; then
		rm -f "$POLICY"
		POLICY_OURS=''
	fi
}

# Created by a rename that refuses to replace, so that another one's file is never overwritten and
# no half-written one can run.
put_policy() {
	local new
	if [ -e "$POLICY" ] || [ -L "$POLICY" ]; then
		return
	fi
	new=$(mktemp "$POLICY.XXXXXX")
	printf '#!/bin/sh\n# Put here by tools/deps.sh while it installs packages.\nexit 101\n' >"$new"
	chmod 755 "$new"
	if ln "$new" "$POLICY" 2>/dev/null; then
		POLICY_OURS=1
	fi
	rm -f "$new"
}

case ${1:-} in
build) wanted=$BUILD ;;
check) wanted=$CHECK ;;
kernel) wanted="$CHECK $KERNEL" ;;
peers) wanted="$CHECK $PEERS" ;;
*) give_up "usage: tools/deps.sh build|check|kernel|peers" ;;
esac

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
	give_up "this is no Debian: install what tools/deps.sh lists in your system's way"

# shellcheck disable=SC2086 # a list of words
have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $wanted 2>/dev/null || true)
missing=''
for package in $wanted; do
	case $'\n'$have$'\n' in
	*$'\n'"$package installed"$'\n'*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] ||
	give_up "missing:$missing. Run 'sudo tools/deps.sh $1', or install them by hand"
echo "deps: installing$missing"
trap remove_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
put_policy
export DEBIAN_FRONTEND=noninteractive
options=(-q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
apt-get "${options[@]}" update ||
	give_up "apt-get update failed: check the network and /etc/apt/sources.list"
# shellcheck disable=SC2086
apt-get "${options[@]}" -o Dpkg::Options::=--force-confold --no-install-recommends install $missing ||
	give_up "apt-get could not install:$missing"
