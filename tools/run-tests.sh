#!/bin/sh
# Runs each test program given; exit 0 passes, 77 skips, anything else fails. Prints the output of
# what did not pass and a closing line. Under CI=true a skip is a failure.
export LC_ALL=C.UTF-8
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}"
passed=0 failed=0 skipped=0 failures=""
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
for t in "$@"; do
	start=$(date +%s)
	timeout -k 10 "${TEST_TIMEOUT:-900}" "$t" >"$out" 2>&1 </dev/null
	code=$?
	took=$(($(date +%s) - start))
	if [ $code = 77 ] && [ "${CI:-}" = true ]; then
		echo "a skip is a failure when CI=true" >>"$out"
		code=1
	fi
	case $code in
	0) passed=$((passed + 1)) word=PASS ;;
	77) skipped=$((skipped + 1)) word=SKIP ;;
	*) failed=$((failed + 1)) word=FAIL failures="$failures $t" ;;
	esac
	echo "$word $t (${took}s)"
	if [ $word = FAIL ]; then
		echo "  exit code $code"
		tail -n 200 "$out" | sed 's/^/  | /'
	elif [ $word = SKIP ]; then
		tail -n 3 "$out" | sed 's/^/  | /'
	elif [ "${V:-}" = 1 ] || grep -q '^SHOW ' "$out"; then
		# What a test wants seen also when it passes: lines "SHOW ...", or all with V=1.
		if [ "${V:-}" = 1 ]; then cat "$out"; else sed -n 's/^SHOW /  /p' "$out"; fi
	fi
done
[ -z "$failures" ] || echo "failed:$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
