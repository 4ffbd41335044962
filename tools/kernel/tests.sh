#!/bin/bash
# What check-kernel runs in the guest: doctor, the demo, and the tests that it is given.
set -u
uname -r
"$DAYLIGHT" doctor || exit
# Each test asks doctor; loading all programs once more takes a while here.
export LIVE_READY=1
# An instruction takes a nanosecond here (boot.sh).
export LIVE_SLOW=4
tools/run-tests.sh tools/demo/demo.sh "$@"
