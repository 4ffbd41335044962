#!/bin/sh
# clang-tidy, cppcheck and shellcheck over the tree; any finding fails.
cd "$(dirname "$0")/.." || exit 1
bad=0
for tool in clang-format shellcheck cppcheck clang-tidy; do
	command -v "$tool" >/dev/null || { echo "lint: $tool is missing: install it" >&2; exit 1; }
done
find userspace bpf tests -name "*.[ch]" ! -path userspace/bundle/format.h -print0 |
	xargs -0 clang-format --dry-run -Werror || bad=1
find tools tests .ci \( -name '*.sh' -o -path .ci/run \) -exec shellcheck -S warning {} + || bad=1
# Not asked of the analyzers: leaks (they do not know the cleanup attribute; LeakSanitizer watches
# the tests) and what they misread in uthash's macros.
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
	--suppress=preprocessorErrorDirective --suppress=memleak --suppress=resourceLeak \
	--suppress=unknownMacro --suppress=uninitvar --suppress=ctuuninitvar \
	-Iuserspace -D_GNU_SOURCE userspace || bad=1
checks='-*,bugprone-*,clang-analyzer-*,-clang-analyzer-unix.Malloc'
checks="$checks,-clang-analyzer-core.UndefinedBinaryOperatorResult"
checks="$checks,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling"
checks="$checks,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier"
checks="$checks,-bugprone-narrowing-conversions,-bugprone-macro-parentheses"
checks="$checks,-bugprone-branch-clone,-bugprone-assignment-in-if-condition"
checks="$checks,-bugprone-sizeof-expression,-bugprone-suspicious-include"
checks="$checks,-bugprone-implicit-widening-of-multiplication-result"
checks="$checks,-bugprone-suspicious-string-compare,-bugprone-not-null-terminated-result"
# One file a run: the analyzer carries false state from file to file.
find userspace -name '*.c' -print0 | LC_ALL=C sort -z | xargs -0 -n 1 -P "$(nproc)" sh -c '
	clang-tidy --quiet -checks="$0" --warnings-as-errors="*" "$1" -- -std=gnu11 -D_GNU_SOURCE \
		-DDAYLIGHT_COLLECT=1 -DDAYLIGHT_VERSION="\"\"" -Iuserspace -Ibpf -Ibuild/gen \
		2>/dev/null' "$checks" || bad=1
exit $bad
