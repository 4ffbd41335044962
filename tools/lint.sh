#!/bin/sh
# clang-tidy, cppcheck and shellcheck over the tree; any finding fails.
cd "$(dirname "$0")/.." || exit 1
bad=0
find userspace bpf tests -name "*.[ch]" ! -path userspace/bundle/format.h -print0 |
	xargs -0 clang-format --dry-run -Werror || bad=1
if command -v shellcheck >/dev/null; then
	find tools tests .ci -name '*.sh' -o -path .ci/run | xargs shellcheck -S warning || bad=1
fi
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
	--suppress=preprocessorErrorDirective -Iuserspace -D_GNU_SOURCE userspace || bad=1
checks='-*,bugprone-*,clang-analyzer-*,-bugprone-easily-swappable-parameters'
checks="$checks,-bugprone-reserved-identifier,-bugprone-narrowing-conversions"
checks="$checks,-bugprone-macro-parentheses,-bugprone-branch-clone"
checks="$checks,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling"
checks="$checks,-bugprone-assignment-in-if-condition,-bugprone-sizeof-expression"
checks="$checks,-bugprone-implicit-widening-of-multiplication-result,-bugprone-suspicious-include"
# One file a run: the analyzer carries false state from file to file.
for f in $(find userspace -name '*.c' | LC_ALL=C sort); do
	clang-tidy --quiet -checks="$checks" --warnings-as-errors='*' "$f" -- -std=gnu11 \
		-D_GNU_SOURCE -DDAYLIGHT_COLLECT=1 -DDAYLIGHT_VERSION='""' -Iuserspace -Ibpf \
		-Ibuild/gen 2>/dev/null || bad=1
done
exit $bad
