#!/bin/bash
# A server that no definition knows: nothing of its calls' paths, queries, headers and bodies, of its
# arguments and its environment reaches the bundle.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

SECRET=hunter2canary
for boundary in "${BOUNDARIES[@]}"; do
	file=$WORK/$boundary.daylight
	API_KEY=${SECRET}environment live_threads "$boundary" --note "${SECRET}argument" \
		--note="${SECRET}joined"
	collect_start "$file" --port "$PORT" --boundary "$boundary"
	live_client "$WORK/$boundary.client" --secret "$SECRET" --conversations 36 --parallel 3 --pace 20 \
		--mix plain,keepalive,pipeline,split,bytewise,joined,bodies,expect,head,missing,close,leave
	# Where few look: userinfo, chunk extensions, trailers, folded lines, what is no HTTP at all.
	"$PYTHON" - "$PORT" "$SECRET" <<-'CLIENT' || fail "the odd client"
		import socket, sys
		port, secret = int(sys.argv[1]), sys.argv[2].encode()
		for data in (
		    b"GET http://user:%b@127.0.0.1/alpha/1 HTTP/1.1\r\nHost: a\r\n\r\n",
		    b"GET /%b/%b?%b=%b#%b HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %b\r\n\r\n",
		    b"GET /alpha;%b=%b/1 HTTP/1.1\r\nHost: a\r\nReferer: http://a/%b\r\nX-%b: 1\r\n\r\n",
		    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		    b"3;%b=%b\r\nabc\r\n0\r\nX-Trailer: %b\r\n\r\n",
		    b"GET /alpha/1 HTTP/1.1\r\nHost: a\r\nX-Long: 1\r\n %b\r\n\r\n",
		    b"GET /alpha/%b HTTP/1.1\r\nHost",
		    b"%b %b %b\r\n\r\n",
		    b"\x16\x03\x01%b",
		):
		    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
		        s.sendall(data.replace(b"%b", secret))
		        s.shutdown(socket.SHUT_WR)
		        while s.recv(65536):
		            pass
	CLIENT
	sleep 0.2
	collect_stop
	server_stop "$SERVER"
	collect_ended 0 "$file"
	live_look "$file"
	zstd -dcq "$file" >"$WORK/plain" || fail "zstd does not take the bundle"
	echo "$boundary:"
	live_check "$file" among "$WORK/$boundary.client"
	live_check "$file" absent "$WORK/plain" "$SECRET"
	live_check "$file" absent "$file" "$SECRET"
	# The search finds what is meant to be there.
	grep -qa 'X-Openstack-Request-Id' "$WORK/plain" || fail "the bundle holds no request id"
done
