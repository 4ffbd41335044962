#!/bin/sh
# clang-tidy, cppcheck and shellcheck over the tree; any finding fails.
cd "$(dirname "$0")/.." || exit 1
bad=0
if command -v shellcheck >/dev/null; then
	find tools tests .ci -name '*.sh' -o -path .ci/run | xargs shellcheck -S warning || bad=1
fi
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
	--suppress=preprocessorErrorDirective -Iuserspace -D_GNU_SOURCE userspace || bad=1
find userspace -name '*.c' | xargs clang-tidy --quiet -checks='-*,bugprone-*,clang-analyzer-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-narrowing-conversions,-bugprone-macro-parentheses,-bugprone-branch-clone,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,-bugprone-assignment-in-if-condition,-bugprone-implicit-widening-of-multiplication-result,-bugprone-sizeof-expression,-bugprone-suspicious-include' \
	--warnings-as-errors='*' -- -std=gnu11 -D_GNU_SOURCE -DDAYLIGHT_COLLECT=1 -DDAYLIGHT_VERSION='""' -Iuserspace -Ibpf -Ibuild/gen 2>/dev/null || bad=1
exit $bad
