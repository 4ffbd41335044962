#!/bin/bash
# Keys, signatures and timestamps from the command line; and docs/verify-with-openssl.md, whose
# commands are run as they stand there. The timestamp authority is openssl's.
set -u
. "$(dirname "$0")/expect.bash"
bundle=$ROOT_DIR/tests/golden/bundles/calls.daylight
cd "$DIR" || exit 1

# says CODE LINE COMMAND...: exit code CODE, and a line of stdout is exactly LINE.
says() {
	local wanted=$1 line=$2 code=0
	shift 2
	"$@" >"$DIR/out" 2>"$DIR/err" || code=$?
	[ "$code" = "$wanted" ] || fail "exit code $code instead of $wanted: $*: $(cat "$DIR/err")"
	grep -qxF -e "$line" "$DIR/out" || fail "no line '$line' from $*: $(cat "$DIR/out")"
}

# ---- keys ----

"$DAYLIGHT" key new -o key.pem --public key.pub >made || fail "key new: exit code $?"
id=$(sed -n 's/^key: //p' made)
[ "${#id}" = 64 ] || fail "key new prints no id: $(cat made)"
[ "$(stat -c %a key.pem)" = 600 ] || fail "key.pem is open to others"
[ "$(openssl pkey -pubin -in key.pub -outform DER | sha256sum | cut -d' ' -f1)" = "$id" ] ||
	fail "the key's id is not the digest of its public part"
[ "$(openssl pkey -in key.pem -pubout)" = "$(cat key.pub)" ] || fail "the two parts differ"
says 0 "key: $id" "$DAYLIGHT" key show key.pem
grep -qx 'kind: private' out && grep -qx -- '-----BEGIN PUBLIC KEY-----' out || fail "key show"
grep -q 'PRIVATE' out && fail "key show prints a private key"
says 0 "key: $id" "$DAYLIGHT" key show key.pub
expect 2 "never overwritten" "$DAYLIGHT" key new -o key.pem
expect 2 "never overwritten" "$DAYLIGHT" key new -o other.pem --public key.pub
[ ! -e other.pem ] || fail "half a pair of keys is left"
expect 2 "new or show" "$DAYLIGHT" key
expect 2 "one argument too many" "$DAYLIGHT" key new x
expect 2 "no private or public key" "$DAYLIGHT" key show "$bundle"
# A key of openssl's is as good.
openssl genpkey -algorithm ed25519 -out theirs.pem
openssl pkey -in theirs.pem -pubout -out theirs.pub

# ---- sign ----

cp "$bundle" plain.daylight
cp "$bundle" signed.daylight
says 0 "signed.daylight: signed by $id" "$DAYLIGHT" sign signed.daylight --key key.pem
zstd -q -t signed.daylight || fail "zstd does not take a signed bundle"
says 0 "signed.daylight: intact, signer $id not checked" "$DAYLIGHT" verify signed.daylight
says 0 "signed.daylight: intact, signed by $id" "$DAYLIGHT" verify --key key.pub signed.daylight
says 0 "signature: valid, by $id" "$DAYLIGHT" verify --key key.pem signed.daylight
says 1 "signature: valid, by $id, which is not the key given" \
	"$DAYLIGHT" verify --key theirs.pub signed.daylight
grep -q '^  resigned: frame ' out || fail "another key: not resigned: $(cat out)"
expect 2 "no signature that --key could check" "$DAYLIGHT" verify --key key.pub plain.daylight
expect 2 "signed already" "$DAYLIGHT" sign signed.daylight --key theirs.pem
expect 2 "no private key" "$DAYLIGHT" sign plain.daylight --key key.pub
expect 2 "needs --key" "$DAYLIGHT" sign plain.daylight
cmp -s plain.daylight "$bundle" || fail "a bundle that was not signed has changed"
for name in altered cut; do
	cp "$ROOT_DIR/tests/golden/bundles/$name.daylight" .
	[ $name = cut ] && code=4 || code=1
	expect "$code" "" "$DAYLIGHT" sign $name.daylight --key key.pem
done
"$DAYLIGHT" inspect plain.daylight calls --jsonl >plain.calls
"$DAYLIGHT" inspect signed.daylight calls --jsonl >signed.calls || fail "inspect: exit code $?"
cmp -s plain.calls signed.calls || fail "a signature changes the calls"

# A report says that the signer was not checked; anybody can sign.
"$DAYLIGHT" analyze signed.daylight --guideline "$ROOT_DIR/tools/demo/guideline.json" \
	-o report.json >out 2>err || [ $? = 4 ] || fail "analyze: $(cat err)"
"$PYTHON" - report.json "$id" <<'END' || fail "the report of a signed bundle"
import json, sys
doc = json.load(open(sys.argv[1]))
assert doc["inputs"]["bundles"][0]["signature"] == "valid"
weak = {w["what"]: w["text"] for c in doc["claims"] for w in c["weakened_by"]}
assert "unsigned" not in weak and sys.argv[2] in weak["signer"], weak
END

# ---- timestamps ----

cat >tsa.cnf <<'END'
[tsa]
serial = serial
signer_digest = sha256
digests = sha256
default_policy = 1.2.3.4
accuracy = secs:1
ess_cert_id_alg = sha256
[stamp]
extendedKeyUsage = critical,timeStamping
END
# authority NAME: NAME.ca, and NAME.pem and NAME.key, which stamp.
authority() {
	openssl req -x509 -newkey ed25519 -nodes -keyout "$1.root" -out "$1.ca" -subj "/CN=$1 root" \
		-days 30 2>/dev/null &&
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" \
			-out "$1.csr" -subj "/CN=$1 stamps" 2>/dev/null &&
		openssl x509 -req -in "$1.csr" -CA "$1.ca" -CAkey "$1.root" -CAcreateserial \
			-extfile tsa.cnf -extensions stamp -days 30 -out "$1.pem" 2>/dev/null ||
		fail "cannot make the authority $1"
}
echo 01 >serial
authority here
authority there
# reply REQUEST RESPONSE
reply() {
	openssl ts -reply -config tsa.cnf -section tsa -queryfile "$1" -signer here.pem \
		-inkey here.key -out "$2" 2>err || fail "openssl ts: $(cat err)"
}

cp signed.daylight stamped.daylight
"$DAYLIGHT" timestamp request stamped.daylight -o request.tsq || fail "request: exit code $?"
openssl ts -query -in request.tsq -text >out || fail "openssl does not read the request"
grep -q '^Hash Algorithm: sha256' out && grep -q '^Certificate required: yes' out ||
	fail "the request: $(cat out)"
expect 2 "exists" "$DAYLIGHT" timestamp request stamped.daylight -o request.tsq
reply request.tsq response.tsr
expect 2 "something else" "$DAYLIGHT" timestamp add plain.daylight response.tsr
expect 2 "no response" "$DAYLIGHT" timestamp add stamped.daylight request.tsq
"$DAYLIGHT" timestamp add stamped.daylight response.tsr || fail "add: exit code $?"
expect 2 "timestamp already" "$DAYLIGHT" timestamp add stamped.daylight response.tsr
expect 2 "timestamp already" "$DAYLIGHT" timestamp request stamped.daylight -o again.tsq
expect 2 "signed already" "$DAYLIGHT" sign stamped.daylight --key key.pem
zstd -q -t stamped.daylight || fail "zstd does not take a stamped bundle"
says 0 "stamped.daylight: intact, signed by $id" "$DAYLIGHT" verify --key key.pub stamped.daylight
grep -Eqx 'timestamp: unchecked, says 20[0-9T:.-]+Z, by CN=here stamps, not checked .*' out ||
	fail "the timestamp: $(cat out)"
"$DAYLIGHT" verify --tsa-ca here.ca stamped.daylight >out || fail "--tsa-ca: exit code $?"
grep -Eqx 'timestamp: valid, says 20[0-9T:.-]+Z, by CN=here stamps' out || fail "$(cat out)"
"$DAYLIGHT" verify --tsa-ca there.ca stamped.daylight >out && fail "another authority: exit code 0"
grep -q '^  resigned: frame ' out && grep -q '^timestamp: invalid' out ||
	fail "another authority: $(cat out)"
expect 2 "no timestamp that --tsa-ca could check" "$DAYLIGHT" verify --tsa-ca here.ca signed.daylight
expect 2 "no certificates" "$DAYLIGHT" verify --tsa-ca key.pub stamped.daylight
# Without a signature it is the index that is stamped; nothing can be signed any more.
cp plain.daylight index.daylight
"$DAYLIGHT" timestamp request index.daylight -o index.tsq || fail "request: exit code $?"
reply index.tsq index.tsr
"$DAYLIGHT" timestamp add index.daylight index.tsr || fail "add: exit code $?"
says 0 "index.daylight: intact, not signed" "$DAYLIGHT" verify --tsa-ca here.ca index.daylight
expect 2 "has a timestamp" "$DAYLIGHT" sign index.daylight --key key.pem

"$DAYLIGHT" verify --json --key key.pub --tsa-ca here.ca stamped.daylight >out
"$PYTHON" - out "$id" <<'END' || fail "--json: $(cat out)"
import datetime, json, sys
doc = json.load(open(sys.argv[1]))
assert doc["ok"] and doc["complete"] and doc["findings"] == []
assert doc["frames"]["good"] == doc["frames"]["total"]
assert doc["signature"] == {"state": "valid", "key_sha256": sys.argv[2], "trusted": True}
assert doc["timestamp"]["state"] == "valid" and doc["timestamp"]["authority"] == "CN=here stamps"
when = datetime.datetime.fromisoformat(doc["timestamp"]["time"][:19])
assert abs(datetime.datetime.utcnow() - when) < datetime.timedelta(minutes=5)
END

# ---- without our program ----

# The blocks of the page, as one script.
awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$ROOT_DIR/docs/verify-with-openssl.md" >page
[ "$(wc -l <page)" -gt 20 ] || fail "no commands on the page"
# page FILE PUB CA
page() {
	mkdir -p scratch
	(cd scratch && FILE=$1 PUB=$2 CA=$3 bash -eo pipefail ../page) >page.out 2>&1
}
page "$DIR/stamped.daylight" "$DIR/key.pub" "$DIR/here.ca" || fail "the page: $(cat page.out)"
grep -q 'Verified Successfully' page.out && grep -q '^Verification: OK' page.out &&
	[ "$(grep -Ec '^(key|seal|chain) [0-9a-f]{64}$' page.out)" = 3 ] || fail "the page: $(cat page.out)"
page "$DIR/stamped.daylight" "$DIR/theirs.pub" "$DIR/here.ca" && fail "the page takes another key"
page "$DIR/stamped.daylight" "$DIR/key.pub" "$DIR/there.ca" && fail "the page takes another authority"
# A byte of the statement, of the index, of the last chain frame.
for what in statement index chain; do
	"$PYTHON" - stamped.daylight $what bad.daylight <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
text = data.rindex(b"daylight bundle statement")
at = {"statement": text + 60, "index": text - 120 - 40, "chain": data.rindex(b"W*M\x18") - 3}
data[at[sys.argv[2]]] ^= 1
open(sys.argv[3], "wb").write(data)
END
	page "$DIR/bad.daylight" "$DIR/key.pub" "$DIR/here.ca" && fail "the page takes a bad $what"
	"$DAYLIGHT" verify bad.daylight >out && fail "verify takes a bad $what"
done
finish
