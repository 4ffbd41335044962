#!/bin/bash
# tools/deps.sh: says nothing when all is there; while it installs, a policy-rc.d stands there, which
# is gone afterwards, also after an error; one that was there before stays as it was. Runs in a mount
# namespace of its own with an empty /usr/sbin and a pretended apt.
set -u
. "$(dirname "$0")/expect.bash"
unshare --mount --propagation private true 2>/dev/null || { echo "no mount namespace"; exit 77; }

mkdir "$DIR/bin" "$DIR/sbin"
cat >"$DIR/bin/dpkg-query" <<'END'
#!/bin/sh
shift 3
for name; do
	[ "$name" = "$MISSING" ] || echo "$name installed"
done
END
cat >"$DIR/bin/apt-get" <<'END'
#!/bin/sh
echo "$* (policy: $(/usr/sbin/policy-rc.d 2>/dev/null; echo $?))" >>"$APT_LOG"
case "$*" in *install*) exit "$APT_CODE" ;; esac
END
chmod +x "$DIR"/bin/*
export APT_LOG=$DIR/apt.log APT_CODE=0 MISSING=none

deps() {
	local wanted=$1 code=0
	: >"$APT_LOG"
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare --mount --propagation private sh -c 'mount --bind "$1" /usr/sbin && shift &&
		exec "$@"' sh "$DIR/sbin" env PATH="$DIR/bin:$PATH" "$ROOT_DIR/tools/deps.sh" check \
		>"$DIR/out" 2>&1 || code=$?
	[ "$code" = "$wanted" ] || fail "exit code $code instead of $wanted: $(cat "$DIR/out")"
}

deps 0
[ ! -s "$DIR/out" ] || fail "not silent when nothing is missing: $(cat "$DIR/out")"
[ ! -s "$APT_LOG" ] || fail "apt was called without need"

MISSING=zstd deps 0
grep -q -- '--no-install-recommends install zstd (policy: 101)' "$APT_LOG" ||
	fail "apt was called as: $(cat "$APT_LOG")"
[ -z "$(ls "$DIR/sbin")" ] || fail "left behind: $(ls "$DIR/sbin")"

APT_CODE=100 MISSING=zstd deps 1
[ -z "$(ls "$DIR/sbin")" ] || fail "left behind after an error: $(ls "$DIR/sbin")"

printf '#!/bin/sh\nexit 55\n' >"$DIR/sbin/policy-rc.d"
chmod +x "$DIR/sbin/policy-rc.d"
cp "$DIR/sbin/policy-rc.d" "$DIR/policy"
MISSING=zstd deps 0
grep -q 'install zstd (policy: 55)' "$APT_LOG" || fail "apt was called as: $(cat "$APT_LOG")"
cmp -s "$DIR/policy" "$DIR/sbin/policy-rc.d" || fail "a policy-rc.d of the machine was changed"
finish
