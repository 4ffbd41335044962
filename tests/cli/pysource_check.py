#!/usr/bin/python3
"""
The source digests once more, from docs/evidence.md ("Source digests") and with the interpreter's own
tokenize and ast: compared with what pysource_print said (standard input, or a file). Also each
function that this interpreter makes of the text must be found by its first line and names. Runs with
Python 2.7 and 3.6 or later; looks only at files that this interpreter takes.
"""
from __future__ import print_function
import ast
import codecs
import hashlib
import inspect
import io
import re
import sys
import token
import tokenize
import warnings

PY2 = sys.version_info[0] == 2
LETTERS = {token.NAME: b"n", token.NUMBER: b"d", token.STRING: b"s", token.OP: b"o",
           token.NEWLINE: b"L", token.INDENT: b"I", token.DEDENT: b"D"}
for also in ("ASYNC", "AWAIT"):
    if hasattr(token, also):
        LETTERS[getattr(token, also)] = b"n"
FSTRING_STARTS = [getattr(token, n) for n in ("FSTRING_START", "TSTRING_START") if hasattr(token, n)]
FSTRING_ENDS = [getattr(token, n) for n in ("FSTRING_END", "TSTRING_END") if hasattr(token, n)]
DROPPED = [token.ENDMARKER, tokenize.COMMENT, tokenize.NL, getattr(tokenize, "ENCODING", -1)]
FUNCTIONS = (ast.FunctionDef, getattr(ast, "AsyncFunctionDef", ast.FunctionDef))


class Refused(Exception):
    pass


def read_text(data):
    mark = data.startswith(codecs.BOM_UTF8)
    if mark:
        data = data[3:]
    name = "utf-8"
    for line in re.split(b"\r\n|\r|\n", data)[:2]:
        if not re.match(br"[ \t\f]*(#|$)", line):
            break
        found = re.match(br"[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)", line)
        if found:
            name = found.group(1).decode("ascii").lower().replace("_", "-")
            break
    if name in ("utf8", "u8") or re.match(r"utf-8(-|$)", name):
        codec = "utf-8"
    elif name in ("latin1", "l1", "iso8859-1") or \
            re.match(r"(latin-1|iso-8859-1|iso-latin-1)(-|$)", name):
        codec = "latin-1"
    elif name in ("ascii", "us-ascii"):
        codec = "ascii"
    else:
        raise Refused("encoding")
    if mark and codec != "utf-8":
        raise Refused("encoding")
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        raise Refused("encoding")
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Token:
    def __init__(self, letter, text, start):
        self.letter, self.text, self.start = letter, text, start


def tokens_of(text):
    lines = io.StringIO(text, newline="\n")
    out, deep, begun = [], 0, None
    rows = text.split("\n")
    for t in tokenize.generate_tokens(lines.readline):
        kind, string, start, end = t[0], t[1], t[2], t[3]
        if kind in FSTRING_STARTS:
            begun = begun if deep else start
            deep += 1
        elif kind in FSTRING_ENDS:
            deep -= 1
            if not deep:
                part = rows[begun[0] - 1:end[0]]
                part[-1] = part[-1][:end[1]]
                part[0] = part[0][begun[1]:]
                out.append(Token(b"s", "\n".join(part), begun))
        elif deep or kind in DROPPED:
            pass
        elif kind == token.NEWLINE and (not out or out[-1].letter == b"L"):
            pass  # some versions end a text of white space with one
        elif kind not in LETTERS:
            if string.strip():
                raise Refused("token %r" % string)
        elif string == "...":
            out += [Token(b"o", ".", (start[0], start[1] + i)) for i in range(3)]
        else:
            letter = LETTERS[kind]
            out.append(Token(letter, string if letter in b"ndso" else "", start))
    return out


def digest(tokens):
    return hashlib.sha256(b"".join(t.letter + t.text.encode("utf-8") + b"\0" for t in tokens)
                          ).hexdigest()


def definitions(node, prefix=""):
    """(qualified name, node) in the order of the text."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            yield prefix + child.name, child
            inner = prefix + child.name + ".<locals>."
        elif isinstance(child, ast.ClassDef):
            inner = prefix + child.name + "."
        else:
            inner = prefix
        for found in definitions(child, inner):
            yield found


def is_string(node):
    if not isinstance(node, ast.Expr):
        return False
    if hasattr(ast, "Constant") and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return not hasattr(ast, "Constant") and isinstance(node.value, ast.Str) or \
        type(node.value).__name__ == "Str"


def plain(t):
    return t.letter == b"s" and not re.match(r"[a-zA-Z]*[bBfFtT]", t.text)


def header_end(tokens, at):
    level = 0
    while level or tokens[at].text != ":":
        level += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(tokens[at].text, 0)
        at += 1
    return at


def functions_of(text):
    tokens = tokens_of(text)
    tree = ast.parse(text.encode("utf-8") if PY2 else text)
    starts = [i for i, t in enumerate(tokens) if t.letter == b"n" and t.text == "def"]
    nodes = list(definitions(tree))
    if len(starts) != len(nodes):
        raise Refused("%d definitions, %d in the tree" % (len(starts), len(nodes)))
    rows = text.split("\n")
    for at, (qualname, node) in zip(starts, nodes):
        assert tokens[at + 1].text == node.name, (qualname, tokens[at + 1].text)
        newline = at
        while tokens[newline].letter != b"L":
            newline += 1
        end = newline + 1
        block = tokens[newline + 1].letter == b"I" if newline + 1 < len(tokens) else False
        if block:
            level = 1
            while level:
                end += 1
                level += {b"I": 1, b"D": -1}.get(tokens[end].letter, 0)
            end += 1
        if at and tokens[at - 1].text == "async":
            at -= 1
        start = at
        for _ in node.decorator_list:
            start -= 1
            while start and tokens[start - 1].letter not in b"LID":
                start -= 1
            assert tokens[start].text == "@", (qualname, tokens[start].text)
        body, doc = node.body[0], []
        if is_string(body):
            if block:
                first = newline + 2
            else:
                col = len(rows[body.lineno - 1].encode("utf-8")[:body.col_offset].decode("utf-8"))
                found = [i for i in range(at, newline) if tokens[i].start == (body.lineno, col)]
                # Before 3.8 the tree has no place of a string over several lines.
                first = found[0] if found else header_end(tokens, at) + 1
            last = first
            while plain(tokens[last]):
                last += 1
            if (block or tokens[first - 1].text == ":") and last > first and \
                    (tokens[last].letter == b"L" or tokens[last].text == ";"):
                doc = [first, last]
        kept = tokens[start:doc[0]] + tokens[doc[1] + 1:end] if doc else tokens[start:end]
        line = tokens[start].start[0]
        seen = line
        if node.decorator_list and sys.version_info >= (3, 8):
            seen = node.decorator_list[0].lineno
        yield (line, seen, qualname, digest(kept), digest(tokens[doc[0]:doc[1]]) if doc else "-")


def code_objects(code):
    for const in code.co_consts:
        if isinstance(const, type(code)):
            yield const
            for found in code_objects(const):
                yield found


def lost_functions(text, path, rows):
    """Functions of the compiled text that no row stands for. Class bodies are not optimized."""
    try:
        top = compile(text.encode("utf-8") if PY2 else text, path, "exec", dont_inherit=True)
    except SyntaxError:  # what only the compiler refuses
        return
    by_line, rows_of = {}, text.split("\n")
    for row in rows:
        for line in range(row[0], row[1] + 1):
            by_line[line] = row[2]
    for code in code_objects(top):
        if code.co_name.startswith("<") or not code.co_flags & inspect.CO_OPTIMIZED:
            continue
        # 3.12: what `type NAME = ...` and `[NAME: bound]` stand for is worked out by functions.
        if re.search(r"(\btype\s+|[\[,]\s*\**)%s\b" % re.escape(code.co_name),
                     rows_of[code.co_firstlineno - 1]):
            continue
        have = "." + by_line.get(code.co_firstlineno, "")
        if not have.endswith("." + getattr(code, "co_qualname", code.co_name)):
            yield code


def said(stream):
    path, how, rows = None, None, []
    for row in stream:
        fields = row.rstrip("\n").split("\t")
        if fields[0] == "file":
            if path:
                yield path, how, rows
            how, path, rows = fields[1], fields[2], []
        else:
            rows.append((int(fields[0]), int(fields[1]), fields[2], fields[3], fields[4]))
    if path:
        yield path, how, rows


def main():
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(20000)
    stream = io.open(sys.argv[1], encoding="utf-8") if len(sys.argv) > 1 else \
        io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8")
    files = functions = docstrings = skipped = bad = 0
    for path, how, rows in said(stream):
        with open(path, "rb") as f:
            data = f.read()
        try:
            expected = list(functions_of(read_text(data)))
        except (Refused, SyntaxError, ValueError, tokenize.TokenError, MemoryError) as e:
            if how == "encoding" and str(e) != "encoding":
                print("%s: the encoding is fine, then: %s" % (path, e))
                bad += 1
            skipped += 1
            continue
        files += 1
        functions += len(expected)
        if how != "source":
            print("%s: %s, but it is fine here" % (path, how))
            bad += 1
            continue
        if len(rows) != len(expected):
            print("%s: %d functions, expected %d" % (path, len(rows), len(expected)))
            bad += 1
        for code in lost_functions(read_text(data), path, rows):
            print("%s: %s at line %d is not found" % (path, code.co_name, code.co_firstlineno))
            bad += 1
        for row, want in zip(rows, expected):
            docstrings += want[4] != "-"
            if row[0] != want[0] or not row[0] <= want[1] <= row[1] or row[2:] != want[2:]:
                print("%s: %s, expected %s" % (path, row, want))
                bad += 1
    print("%d files, %d functions, %d docstrings, %d files skipped, %d differences" %
          (files, functions, docstrings, skipped, bad))
    return 1 if bad or not functions else 0


if __name__ == "__main__":
    sys.exit(main())
