#!/bin/bash
# A keystone for figures: starts it in the folder given, prints "PID PORT", ends it when stdin ends.
set -eu
. "$(dirname "$0")/../../tests/services/keystone-lib.sh"
DIR=$1
trap 'keystone_cleanup "$DIR"' EXIT
trap 'exit 143' TERM INT
keystone_need "$DIR"
keystone_prepare "$DIR/keystone"
keystone_start
echo "$KEYSTONE_PID $KEYSTONE_PORT"
cat >/dev/null
