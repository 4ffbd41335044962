#!/bin/bash
# Which lines the inputs of fuzz targets reach: those of tests/fuzz/corpus and those that `make fuzz`
# has found. Called by `make fuzz-coverage`, which sets B, CLANG, CPPFLAGS and LIBS.
set -eu
cd "$(dirname "$0")/.."
work=$B/fuzz/coverage
mkdir -p "$work"
declare -A what=(
	[bundle]='bundle/(reader|plan|scan|decode|verify|seal|timestamp)[a-z_]*\.c'
	[inspect]='(inspect/.*|bundle/(trace|plan|reader|decode)[a-z_]*)\.c'
	[guideline]='analyze/guideline.c'
	[probe]='catalog/(probe_json|python_|service_|match)[a-z_]*\.c'
	[http1]='protocols/http1[a-z_]*\.c'
	[pymarshal]='collect/(pymarshal|pycode).c'
	[pysource]='catalog/(pysource|pytokens|pystring|pytext).c'
	[pydefs]='(collect/pydefs|catalog/pytokens|catalog/pytext).c'
	[taps_code]='collect/taps_code.c'
)
for t; do
	extra=''
	[ "$t" != taps_code ] || extra=-lcapstone
	files=$(find userspace -name '*.c' | grep -E "^userspace/(${what[$t]:-$t})$" || true)
	eval "flags=($CPPFLAGS)"
	# The library as a whole, but only this target's files are looked at.
	sources=$(find userspace -name '*.c' ! -path 'userspace/collect/*' ! -name 'cmd_*' ! -name main.c)
	# shellcheck disable=SC2086,SC2154 # lists of words
	"$CLANG" "${flags[@]}" -std=gnu11 -O1 -g -fprofile-instr-generate -fcoverage-mapping \
		-fsanitize=fuzzer -o "$work/$t" "tests/fuzz/fuzz_$t.c" $sources \
		"$B/gen/probes_embedded.c" $LIBS $extra
	mkdir -p "$B/fuzz/corpus-$t"
	LLVM_PROFILE_FILE=$work/$t.raw "$work/$t" -runs=0 -verbosity=0 "tests/fuzz/corpus/$t" \
		"$B/fuzz/corpus-$t" >"$work/$t.log" 2>&1 || { tail -n 5 "$work/$t.log"; exit 1; }
	llvm-profdata merge -o "$work/$t.profile" "$work/$t.raw"
	echo "== $t: $(find "tests/fuzz/corpus/$t" "$B/fuzz/corpus-$t" -type f | wc -l) inputs"
	# shellcheck disable=SC2086
	llvm-cov report "$work/$t" -instr-profile "$work/$t.profile" $files |
		awk '$1 ~ /\.c$|^TOTAL/ { printf "  %-28s lines %5d, reached %s\n", $1, $8, $10 }'
done
