#!/bin/bash
# What check-kernel runs in the guest: doctor, the demo, and the tests that it is given.
set -u
uname -r
"$DAYLIGHT" doctor || exit
tools/demo/demo.sh >/tmp/demo.log 2>&1
demo=$?
echo "demo: exit code $demo"
[ $demo = 0 ] || tail -n 5 /tmp/demo.log
TEST_TIMEOUT=${TEST_TIMEOUT:-1800} tools/run-tests.sh "$@" && exit $demo
