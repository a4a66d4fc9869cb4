#!/usr/bin/env python3
"""Verifies an audit log by docs/audit-format.md, with Python's own library only: verify_audit.py DIR --key PUB.pem.. [--checkpoints FILE]
Ends with 0 for a sound log, with 1 for a broken one, and with 2 where it cannot tell."""
import argparse, base64, gzip, hashlib, json, os, re, sys, zlib

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
LINE = re.compile(rb'\{"v":\d+,"seq":(0|[1-9]\d*),.*,"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}', re.S)
NAME = re.compile(r"audit-(\d{20})\.jsonl(|\.gz|\.failed(?:[.-]\d+)?)")

class Broken(Exception): pass

def sha(data):
    return hashlib.sha256(data).digest()

def need(condition, why):
    if not condition:
        raise Broken(why)

def add(p, q):  # RFC 8032 section 5.1.4, extended coordinates
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    return (b - a) * (d - c) % P, (d + c) * (b + a) % P, (d - c) * (d + c) % P, (b - a) * (b + a) % P

def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = add(q, p)
        p, n = add(p, p), n >> 1
    return q

def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    need(y < P, "no point")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    need(x * x % P == square and (x or not sign), "no point")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P

BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def holds(public, text, sig):
    need(len(sig) == 64, "signature of another size")
    s = int.from_bytes(sig[32:], "little")
    k = int.from_bytes(hashlib.sha512(sig[:32] + public + text).digest(), "little") % L
    left, right = times(s, BASE), add(point(sig[:32]), times(k, point(public)))
    return s < L and all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))

def signed(c, time, keys):
    need(c["key"] in keys, "signed with an unknown key")
    text = f"portcullis-audit-checkpoint-v1\n{c['log']}\n{c['size']}\n{c['root']}\n{c['head']}\n{time}\n"
    need(holds(keys[c["key"]], text.encode(), base64.urlsafe_b64decode(c["sig"] + "==")), "the signature does not hold")

def fold(frontier):
    if not frontier:
        return sha(b"")
    root = frontier[-1]
    for part in reversed(frontier[:-1]):
        root = sha(b"\1" + part + root)
    return root

def segments(directory):
    found = []
    for name in os.listdir(directory):
        path, match = os.path.join(directory, name), NAME.fullmatch(name)
        if not (match or name == "audit.jsonl") or os.path.islink(path) or not os.path.isfile(path):
            continue
        if match and match[2] == ".gz" and os.path.exists(path[:-3]):
            continue
        first, failed = (int(match[1]), "failed" in match[2]) if match else (1 << 64, False)
        if not match:
            with open(path, "rb") as file:
                head = re.match(rb'\{"v":\d+,"seq":(\d+),', file.read(64))
        found.append((not match, first, not failed, int(head[1]) if not match and head else first, failed, path))
    return [entry[3:] for entry in sorted(found)]

def lines(files, state):
    for at, (first, failed, path) in enumerate(files):
        until = files[at + 1][0] if failed and at + 1 < len(files) else 1 << 64
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            while (state["next"] or first) < until and (line := file.readline(1 << 20 | 1)):
                state["at"] = f"{os.path.basename(path)}, record {state['next'] or first}"
                need(line.endswith(b"\n"), "a line without an end")
                match = LINE.fullmatch(line[:-1])
                need(match, "no record")
                need(state["next"] or path.endswith("audit.jsonl") or int(match[1]) == first, "records are missing before")
                yield line[:-1], int(match[1]), match[2].decode(), match[3].decode()

def verify(directory, keys, kept):
    state, prev, frontier, log, last, wanted = {"next": 0, "at": directory}, None, None, None, 0, {}
    for c in kept:
        wanted.setdefault((c["log"], c["size"]), []).append(c)
    try:
        for line, seq, line_prev, hashed in lines(segments(directory), state):
            need(sha(line[: -len(f',"hash":"{hashed}"}}')] + b"}").hex() == hashed, "the hash is not that of the line")
            if not state["next"]:
                need(seq > 1 or (seq == 1 and line_prev == "0" * 64), "no first record")
                state["next"], prev, frontier = seq, line_prev, [] if seq == 1 else None
            need((seq, line_prev) == (state["next"], prev), "not the next record")
            kind = line.find(b',"kind":"')
            if line[kind:].startswith(b',"kind":"checkpoint"'):
                record = json.loads(line)
                c = record["checkpoint"]
                signed(c, record["time"], keys)
                parts = [bytes.fromhex(part) for part in c["frontier"]]
                need(c["size"] == seq - 1 and c["head"] == prev and fold(parts).hex() == c["root"], "not about these records")
                need(frontier in (None, parts) and len(parts) == bin(seq - 1).count("1"), "not about this tree")
                need(log in (None, c["log"]), "of another log")
                frontier, log, last = parts, c["log"], seq
            need(seq > 1 or last, "the first record is no checkpoint")
            if frontier is not None:
                frontier.append(sha(b"\0" + bytes.fromhex(hashed)))
                for _ in range(len(bin(seq - 1)) - len(bin(seq - 1).rstrip("1"))):
                    frontier[-2:] = [sha(b"\1" + frontier[-2] + frontier[-1])]
            state["next"], prev = seq + 1, hashed
            for c in wanted.get((log, seq), []):
                need(c["head"] == prev and fold(frontier).hex() == c["root"], "not what a checkpoint kept elsewhere says")
        end = max((c["size"] for c in kept if c["log"] == log), default=0)
        need(state["next"] > max(end, 1), f"the end is missing: there were {max(end, 1)} records")
        return f"sound: {state['next'] - 1} records, covered up to {last - 1}"
    except (Broken, ValueError, KeyError, TypeError, EOFError, OSError, zlib.error) as error:
        raise Broken(f"{state['at']}: {error}") from error

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--key", action="append", required=True)
    parser.add_argument("--checkpoints")
    args = parser.parse_args()
    known = {}
    for name in args.key:
        with open(name, encoding="ascii") as file:
            public = base64.b64decode("".join(file.read().split("\n")[1:-2]))[-32:]
        known[sha(public).hex()[:16]] = public
    elsewhere = []
    if args.checkpoints:
        with open(args.checkpoints, encoding="utf-8") as file:
            elsewhere = [json.loads(line) for line in file]
    try:
        for one in elsewhere:
            signed(one, one["time"], known)
        print(verify(args.directory, known, elsewhere))
    except Broken as error:
        sys.exit(f"broken: {error}")
