#!/bin/sh
# Every header compiles alone.
cd "$(dirname "$0")/.." || exit 1
bad=0
for h in $(find userspace -name '*.h' | LC_ALL=C sort) bpf/wire.h; do
	[ "$h" = userspace/base/banned.h ] && continue
	gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Iuserspace -Ibpf -fsyntax-only -x c "$h" ||
		{ echo "$h does not compile alone"; bad=1; }
done
exit $bad
