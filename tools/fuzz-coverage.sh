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
	[decoder]='protocols/[a-z0-9_]*\.c'
	[seal]='bundle/(seal|timestamp|statement)[a-z_]*\.c'
	[pymarshal]='collect/(pymarshal|pycode).c'
	[pysource]='catalog/(pysource|pytokens|pystring|pytext).c'
	[pydefs]='(collect/pydefs|catalog/pytokens|catalog/pytext).c'
	[taps_code]='collect/taps_code.c'
)
eval "flags=($CPPFLAGS)"
# shellcheck disable=SC2154 # set by eval
build=("$CLANG" "${flags[@]}" -std=gnu11 -O1 -g -fprofile-instr-generate -fcoverage-mapping)
# The library once; a target's own report looks at its files only.
objects=()
for source in $(find userspace -name '*.c' ! -path 'userspace/collect/*' ! -name 'cmd_*' \
	! -name main.c) "$B/gen/probes_embedded.c"; do
	object=$work/$(echo "$source" | tr / _).o
	objects+=("$object")
	[ "$object" -nt "$source" ] || "${build[@]}" -fsanitize=fuzzer-no-link -c -o "$object" "$source"
done
rm -f "$work/lib.a"
ar rcs "$work/lib.a" "${objects[@]}"
for t; do
	extra=''
	[ "$t" != taps_code ] || extra=-lcapstone
	files=$(find userspace -name '*.c' | grep -E "^userspace/(${what[$t]:-$t})$" || true)
	# shellcheck disable=SC2086 # lists of words
	"${build[@]}" -fsanitize=fuzzer -o "$work/$t" "tests/fuzz/fuzz_$t.c" "$work/lib.a" $LIBS $extra
	mkdir -p "$B/fuzz/corpus-$t"
	LLVM_PROFILE_FILE=$work/$t.raw "$work/$t" -runs=0 -verbosity=0 "tests/fuzz/corpus/$t" \
		"$B/fuzz/corpus-$t" >"$work/$t.log" 2>&1 || { tail -n 5 "$work/$t.log"; exit 1; }
	llvm-profdata merge -o "$work/$t.profile" "$work/$t.raw"
	echo "== $t: $(find "tests/fuzz/corpus/$t" "$B/fuzz/corpus-$t" -type f | wc -l) inputs"
	# shellcheck disable=SC2086
	llvm-cov report "$work/$t" -instr-profile "$work/$t.profile" $files |
		awk '$1 ~ /\.c$|^TOTAL/ { printf "  %-28s lines %5d, reached %s\n", $1, $8, $10 }'
done
