#!/bin/sh
# The sample service's reference holds the digests of its files as they are.
exec /usr/bin/python3 "$(dirname "$0")/../../tools/demo/reference.py" --check
