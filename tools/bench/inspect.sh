#!/bin/bash
# How long `daylight inspect` takes on a bundle of ten million sightings, or of as many as are given;
# and with how much memory. The bundle is made here and goes away.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
daylight=${DAYLIGHT:-$root/build/daylight}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
"${CC:-gcc}" -O2 -std=gnu11 -D_GNU_SOURCE -Iuserspace -include userspace/base/banned.h \
	-o "$work/make" tools/bench/large_bundle.c userspace/bundle/*.c userspace/base/*.c \
	-lzstd -lcrypto -lpthread
"$work/make" "$work/large.daylight" "${1:-10000000}" >/dev/null
echo "bundle: $(stat -c %s "$work/large.daylight") bytes"
printf '%8s %8s %10s  %s\n' seconds 'CPU s' 'MiB (peak)' 'inspect FILE ...'
for view in 'summary' 'summary --json' 'processes' 'functions' 'connections' 'loss' \
	'record call 777' 'record sighting 777' 'calls --status 500' 'stacks --jsonl' 'calls --jsonl' \
	'calls --jsonl --request-id req-00000000000000000000000000000777'; do
	/usr/bin/python3 - "$daylight" "$work/large.daylight" $view <<'END'
import resource, subprocess, sys, time
start = time.monotonic()
subprocess.run([sys.argv[1], "inspect", *sys.argv[2:]], stdout=subprocess.DEVNULL, check=True)
took, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{took:8.2f} {used.ru_utime + used.ru_stime:8.2f} {used.ru_maxrss / 1024:10.0f}  "
      + " ".join(sys.argv[3:]))
END
done
