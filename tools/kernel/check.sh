#!/bin/bash
# Runs the demo and the tests that are given under each kernel of $KERNELS, and prints a table:
# called by `make check-kernel`. Each guest takes one CPU: as many run side by side as $JOBS says
# (default: half of the CPUs, at least one). Every line of a guest comes at once, behind its kernel
# and the minutes since it was started; all of it stays in build/kernel/KERNEL.log.
# Exit code 0: everything passed under every kernel.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
LOGS=$HERE/../../build/kernel
JOBS=${JOBS:-$((($(nproc) + 1) / 2))}
export PATH=$PATH:/usr/sbin:/sbin

# Says what comes, and keeps it.
tell() {
	local kernel=$1 start=$SECONDS took line
	while IFS= read -r line; do
		took=$((SECONDS - start))
		printf '%s\n' "$line" >&3
		printf '%-5s %3d:%02d  %s\n' "$kernel" $((took / 60)) $((took % 60)) "$line"
	done 3>"$LOGS/$kernel.log"
}

guest() {
	local kernel=$1 start=$SECONDS code=0 boot said
	shift
	exec 4> >(tell "$kernel")
	said=$!
	"$HERE/boot.sh" "$kernel" "$HERE/tests.sh" "$@" >&4 2>&1 &
	boot=$!
	trap 'kill "$boot" 2>/dev/null' TERM
	wait "$boot" || code=$?
	exec 4>&-
	wait "$said"
	printf 'guest: exit code %d after %d s\n' "$code" $((SECONDS - start)) >>"$LOGS/$kernel.log"
	return "$code"
}

# What was started here ends here. Jobs of a script do not hear Ctrl-C.
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 130' INT TERM
mkdir -p "$LOGS"
running=0 failed=0
for kernel in $KERNELS; do
	if [ "$running" -ge "$JOBS" ]; then
		wait -n || failed=1
		running=$((running - 1))
	fi
	guest "$kernel" "$@" &
	running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
	wait -n || failed=1
	running=$((running - 1))
done

echo
echo "kernel  result  seconds (the guest's)  test"
for kernel in $KERNELS; do
	sed -n 's/^\(PASS\|FAIL\|SKIP\) \(.*\) (\([0-9]*\)s)$/\1 \3 \2/p' "$LOGS/$kernel.log" |
		while read -r word seconds test; do
			printf '%-6s  %-6s  %7s  %s\n' "$kernel" "$word" "$seconds" "$test"
		done
	echo "$kernel: $(sed -n '/^[0-9]* passed, /p' "$LOGS/$kernel.log")" \
		"($(tail -n 1 "$LOGS/$kernel.log"))"
done
exit "$failed"
