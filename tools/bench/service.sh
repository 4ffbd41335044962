#!/bin/bash
# A keystone for figures: starts it in the folder given, prints "PID PORT", ends it when stdin ends.
# With RECALL_TRUTH in the environment it records its functions there.
set -eu
. "$(dirname "$0")/../../tests/services/keystone-lib.sh"
DIR=$1/service
mkdir -p "$DIR"
trap 'keystone_cleanup "$DIR"' EXIT
trap 'exit 143' TERM INT
keystone_need "$DIR"
keystone_prepare "$DIR/keystone"
[ -z "${RECALL_TRUTH:-}" ] || keystone_record "$RECALL_TRUTH"
keystone_start
echo "$KEYSTONE_PID $KEYSTONE_PORT"
cat >/dev/null
