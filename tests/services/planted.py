#!/usr/bin/python3
"""Secrets for the test that none of them reaches the disk.

    planted.py make FILE                  invents them: one JSON object, name -> value
    planted.py show FILE NAME             prints one
    planted.py drive FILE PORT CLIENT     sends them to a keystone in every place of a request;
                                          CLIENT gets the request ids, one a line
    planted.py find FILE BYTES KNOWN...   exit 1 when a part of a secret, in any encoding, is in the
                                          file BYTES; first proves that it finds each KNOWN text

Everything but the tokens, which keystone makes, is random. A part is 12 bytes long.
"""
import base64
import http.client
import json
import secrets
import socket
import string
import sys

PART = 12
NAMES = ("password", "wrong_password", "user", "bad_token", "cookie", "query", "segment",
         "segment_unrouted", "userinfo", "authority_password", "fragment", "agent", "authorization",
         "header", "host_userinfo", "argv", "argv_joined", "environment")
TOKENS = "/v3/auth/tokens"


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def save(path, values):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)


def make(path):
    letters = string.ascii_lowercase + string.digits
    save(path, {name: "".join(secrets.choice(letters) for _ in range(24)) for name in NAMES})


def show(path, name):
    print(load(path)[name])


# ---- requests ----

def login(name, password):
    user = {"name": name, "domain": {"id": "default"}, "password": password}
    return json.dumps({"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}})


def request(port, method, path, headers, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def raw(port, text):
    """A request that http.client would not send as it is; returns the answer's head."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(text.encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.partition(b"\r\n\r\n")[0].decode("latin-1")


def drive(path, port, client):
    s = load(path)
    port = int(port)
    ids = []

    def send(method, target, headers, body=None, statuses=(200,)):
        answer = request(port, method, target, headers, body)
        if answer.status not in statuses:
            sys.exit("planted: %s %s: status %s" % (method, target, answer.status))
        ids.append(answer.getheader("X-Openstack-Request-Id"))
        return answer.getheader("X-Subject-Token")

    json_type = {"Content-Type": "application/json"}
    token = send("POST", TOKENS, json_type, login("admin", s["password"]), (201,))
    send("POST", TOKENS, json_type, login("admin", s["wrong_password"]), (401,))
    send("POST", TOKENS, json_type, login(s["user"], s["wrong_password"]), (401,))
    token = send("POST", TOKENS, json_type, login("admin", s["password"]), (201,))
    auth = {"X-Auth-Token": token}
    for _ in range(5):
        send("GET", TOKENS, {**auth, "X-Subject-Token": token})
        send("GET", TOKENS, {**auth, "X-Subject-Token": s["bad_token"]}, None, (404,))
        send("GET", TOKENS, {"X-Auth-Token": s["bad_token"], "X-Subject-Token": token}, None,
             (401,))
        send("GET", "/v3/auth/tokens?nocatalog=%s&%s=1" % (s["query"], s["query"]),
             {**auth, "X-Subject-Token": token, "Cookie": "session=%s" % s["cookie"],
              "User-Agent": "agent/%s" % s["agent"], "X-Whatever": s["header"]})
        basic = base64.b64encode(("user:%s" % s["authorization"]).encode()).decode()
        send("GET", "/v3/users/%s" % s["segment"], {**auth, "Authorization": "Basic " + basic},
             None, (404,))
        send("GET", "/v3/%s/%s" % (s["segment_unrouted"], s["segment"]), auth, None, (404,))
        send("GET", "/%s" % s["segment_unrouted"], auth, None, (404,))
    # Answered in whatever way; what counts is that the bytes went over the connection.
    tail = "Host: 127.0.0.1\r\nX-Auth-Token: %s\r\nX-Subject-Token: %s\r\n\r\n" % (token, token)
    raw(port, "GET http://%s:%s@127.0.0.1:%d%s?%s HTTP/1.1\r\n%s" %
        (s["userinfo"], s["authority_password"], port, TOKENS, s["query"], tail))
    raw(port, "GET %s#%s HTTP/1.1\r\n%s" % (TOKENS, s["fragment"], tail))
    raw(port, "GET /v3 HTTP/1.1\r\nHost: user:%s@127.0.0.1\r\n\r\n" % s["host_userinfo"])
    s["token"] = token
    save(path, s)
    with open(client, "w", encoding="utf-8") as file:
        file.writelines("%s\n" % id for id in ids)


# ---- the search ----

def base64s(data):
    """The characters that stand for data in base64, at each of the three alignments."""
    for pad in range(3):
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * pad + data).rstrip(b"=")
            # Characters that also hold bits of a neighbour are not data's own.
            first = (pad * 8 + 5) // 6
            last = (pad + len(data)) * 8 // 6
            yield text[first:last]


def encodings(data):
    yield data
    yield data[::-1]
    yield data.upper()
    yield data.hex().encode()
    yield data.hex().upper().encode()
    yield "".join("%%%02x" % byte for byte in data).encode()
    yield "".join("%%%02X" % byte for byte in data).encode()
    yield data.decode("latin-1").encode("utf-16-le")
    yield data.decode("latin-1").encode("utf-16-be")
    yield from base64s(data)


def parts(value):
    data = value.encode()
    if data.startswith(b"gAAAA"):
        data = data[16:]  # a fernet token starts with its version and the time
    step = 1 if len(data) <= 2 * PART else PART // 2
    return {data[i:i + PART] for i in range(0, len(data) - PART + 1, step)}


def leaks(value, haystack):
    return any(form in haystack for part in parts(value) for form in encodings(part))


def prove(known, haystack):
    """The search must be able to find: what is there as it is, and what is put there encoded."""
    for text in known:
        if not leaks(text, haystack):
            sys.exit("planted: the search does not find '%s', which must be there" % text)
    value = "Find-Me_0123456789abcdef"
    if leaks(value, haystack):
        sys.exit("planted: the search finds what is not there")
    for pad in range(4):
        data = b"\x07" * pad + value.encode() + b"\x07" * 3
        for form in encodings(data):
            if not leaks(value, haystack[:1000] + form + haystack[:1000]):
                sys.exit("planted: the search does not find %r" % form)


def find(path, name, *known):
    with open(name, "rb") as file:
        haystack = file.read()
    prove(known, haystack)
    found = [secret for secret, value in load(path).items() if leaks(value, haystack)]
    if found:
        sys.exit("planted: in the bundle: %s" % ", ".join(found))


if __name__ == "__main__":
    {"make": make, "show": show, "drive": drive, "find": find}[sys.argv[1]](*sys.argv[2:])
