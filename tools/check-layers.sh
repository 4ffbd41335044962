#!/bin/sh
# Includes go one way (docs/architecture.md), and each library has one owner.
cd "$(dirname "$0")/.." || exit 1
bad=0
allowed() {
	case $1 in
	base) echo base ;;
	catalog) echo base catalog ;;
	protocols) echo base protocols ;;
	bundle) echo base bundle ;;
	collect) echo base catalog protocols bundle collect ;;
	inspect) echo base catalog protocols bundle inspect ;;
	analyze) echo base catalog protocols bundle analyze ;;
	report) echo base catalog protocols bundle inspect analyze report ;;
	disclose) echo base catalog protocols bundle inspect analyze report disclose ;;
	esac
}
for f in userspace/*/*.[ch]; do
	layer=${f#userspace/}
	layer=${layer%%/*}
	for inc in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$f" | sort -u); do
		case " $(allowed "$layer") " in
		*" $inc "*) ;;
		*) echo "$f: $layer may not include $inc/"; bad=1 ;;
		esac
	done
done
own() { # header pattern, allowed path pattern
	grep -rlE "#include <($1)" userspace --include='*.[ch]' | grep -vE "^userspace/($2)" | while read -r f; do
		echo "$f: <$1> belongs to $2"
	done
}
out=$(own 'bpf/|gelf|libelf|elfutils' 'collect/|cmd_doctor'
	own 'capstone' 'collect/taps_code|collect/tls_code'
	own 'nghttp2/' 'protocols/http2_block'
	own 'zstd' 'bundle/'
	own 'openssl/' 'bundle/|collect/|base/digest'
	own 'jansson' 'catalog/|inspect/|analyze/|report/|disclose/|cmd_')
[ -z "$out" ] || { echo "$out"; bad=1; }
exit $bad
