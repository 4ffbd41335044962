#!/bin/bash
# Bundles made to harm who reads them: inspect, verify and analyze end in order, in bounded memory.
set -u
. "$(dirname "$0")/expect.bash"
case $(nm "$DAYLIGHT" 2>/dev/null) in
*__asan_init*) echo "skip: the sanitizer's own memory is not bounded"; exit 77 ;;
esac
"$PYTHON" -B "$CLI_DIR/hostile_bundles.py" "$DAYLIGHT" "$DIR" \
	"$ROOT_DIR/tests/golden/guidelines/demo.json" || fail "see above"
finish
