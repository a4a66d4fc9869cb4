#!/usr/bin/env python3
"""Fairness of limits, measured through the gateway.

    fairness.py [--seconds 20] [--out FILE]

Two questions. What does a polite principal notice of a greedy one that shares its rule and floods the gateway with calls that
its own limit refuses? And how many calls does a limit let through of a caller that always wants more: in all, and in the worst
window? The first is answered by the load generator, the second by the audit file, whose records are stamped when a request comes.
"""
import argparse, bisect, datetime, json, os, pathlib, shutil, statistics, subprocess, sys, time

import keys, peers

PORT, UPSTREAM = 9170, 9000
KEYS, HOME = peers.KEYS, peers.RUN / "fairness"
LIMITS = (1, 10, 100, 1000)
# Between the stamp of a record and the moment of the decision.
SLACK_MS = 10


def token(sub):
    now = int(time.time())
    claims = {"iss": keys.ISSUER, "aud": keys.AUDIENCE, "sub": sub, "iat": now, "exp": now + 86400}
    path = HOME / f"{sub}.jwt"
    path.write_text(keys.signed("RS256", "rsa1", str(KEYS / "rsa.key"), claims))
    return path


def rule(name, subs, calls):
    return {"id": name, "effect": "allow", "principals": [f"sub:{sub}" for sub in subs], "tools": ["bench__*"],
            "require": {"limit": [{"calls": calls, "per": "1s", "by": ["principal"]}]}}


def prepare():
    if not (KEYS / "jwks.json").exists():
        keys.make(KEYS)
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    for name in ("server.pem", "server.key", "jwks.json"):
        shutil.copy(KEYS / name, HOME / name)
    os.chmod(HOME / "server.key", 0o600)
    rules = [rule("shared", ["greedy", "polite"], 100)] + [rule(f"limit-{n}", [f"wants-{n}"], n) for n in LIMITS]
    policy = {"version": 1, "rules": rules, "tools": [{"match": ["bench__*"], "class": "read"}]}
    (HOME / "policy.yaml").write_text(json.dumps(policy))
    issuer = {"issuer": keys.ISSUER, "audience": [keys.AUDIENCE], "jwks": "file:jwks.json", "algorithms": ["RS256"]}
    config = {"version": 1, "listen": f"127.0.0.1:{PORT}", "data_dir": "data", "tls": {"cert": "server.pem", "key": "server.key"},
              "identity": {"issuers": [issuer]}, "routes": [{"path": "/mcp", "upstreams": ["bench"]}],
              "upstreams": [{"name": "bench", "http": {"url": f"http://127.0.0.1:{UPSTREAM}/mcp"}}],
              "policies": ["policy.yaml"], "telemetry": {"log": "warn"}}
    (HOME / "portcullis.yaml").write_text(json.dumps(config))


def spawn(argv, port):
    if peers.listening(port):
        sys.exit(f"something already listens on {port}")
    log = open(HOME / f"{port}.log", "wb")
    proc = subprocess.Popen(argv, stdout=log, stderr=log, cwd=HOME)
    for _ in range(300):
        if peers.listening(port):
            return proc
        if proc.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"{argv[0]} does not listen; see {HOME}/{port}.log")


def load(sub, seconds, pid, **options):
    """Starts the load generator as `sub`."""
    target = f"{sub}=https://127.0.0.1:{PORT}/mcp,token=@{token(sub)},ca={KEYS}/ca.pem,tool=bench__echo,pid=gateway:{pid}"
    argv = [str(peers.BIN / "mcp-load"), "run", "--era", "stateless", "--target", target, "--duration", str(seconds)]
    argv += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def report(proc):
    out, _ = proc.communicate()
    if proc.returncode != 0:
        sys.exit(f"the load generator failed: {proc.args}")
    return json.loads(out)


def polite(seconds, pid, greedy):
    """Forty calls a second of the polite one, beside the greedy one if there are options for that."""
    flood = load("greedy", seconds + 2, pid, **greedy) if greedy else None
    if flood:
        time.sleep(1)
    mine = report(load("polite", seconds, pid, rate=40, conns=4))
    row = {"n": mine["lat_us"]["n"], "errors": mine["errors"], "p50_ms": mine["lat_us"]["p50"] / 1000,
           "p99_ms": mine["lat_us"]["p99"] / 1000, "max_ms": mine["lat_us"]["max"] / 1000, "busy_pct": mine["busy_pct"]}
    if flood:
        his = report(flood)
        row |= {"greedy_granted_per_s": his["rps"], "greedy_refused": his["errors"]}
    return row


def granted(sub):
    """When the calls of `sub` that passed came in, in milliseconds."""
    times = []
    for file in sorted((HOME / "data/audit").glob("audit*.jsonl*")):
        for line in file.open():
            record = json.loads(line)
            if record.get("principal", {}).get("sub") == sub and record["kind"] == "outcome" \
                    and record["decision"].get("effect") == "allow" and record["outcome"]["status"] == "completed" \
                    and record.get("method") == "tools/call":
                times.append(datetime.datetime.fromisoformat(record["time"]).timestamp() * 1000)
    return sorted(times)


def worst(times, window_ms):
    """The most that any window held."""
    return max((bisect.bisect_left(times, start + window_ms) - at for at, start in enumerate(times)), default=0)


def accuracy(limit, seconds, pid):
    sub = f"wants-{limit}"
    asked = report(load(sub, seconds, pid, rate=max(60, 2 * limit), conns=4, warmup=0.001))
    time.sleep(0.5)
    times = granted(sub)
    span = (times[-1] - times[0]) / 1000 if len(times) > 1 else 0
    return {"asked": asked["requests"], "granted": len(times), "possible": limit * seconds,
            "span_s": round(span, 2), "worst_window": worst(times, 1000 - SLACK_MS), "worst_window_strict": worst(times, 1000)}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seconds", type=int, default=20)
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--out", type=pathlib.Path)
    args = args.parse_args()
    prepare()
    upstream = spawn([str(peers.BIN / "mcp-upstream")], UPSTREAM)
    gateway = None
    rows = []

    def tell(kind, **row):
        rows.append({"kind": kind, **row})
        print(json.dumps(rows[-1]), flush=True)
    try:
        gateway = spawn([peers.PORTCULLIS, "serve", "--config", str(HOME / "portcullis.yaml")], PORT)
        for number in range(args.rounds):
            for name, greedy in (("alone", None), ("beside 500/s", {"rate": 500, "conns": 8}),
                                 ("beside 2000/s", {"rate": 2000, "conns": 16}), ("beside as many as it can", {"conns": 16})):
                tell(name, round=number, **polite(args.seconds / 2, gateway.pid, greedy))
        for limit in LIMITS:
            tell(f"{limit} a second", **accuracy(limit, args.seconds, gateway.pid))
    finally:
        for proc in (gateway, upstream):
            if proc:
                proc.terminate()
                proc.wait(10)
    print("\nThe polite one, medians of the rounds:")
    for kind in dict.fromkeys(row["kind"] for row in rows if "round" in row):
        of = [row for row in rows if row["kind"] == kind]
        median = {name: statistics.median(row[name] for row in of) for name in ("p50_ms", "p99_ms")}
        print(f"{kind:26} p50 {median['p50_ms']:7.2f} ms  p99 {median['p99_ms']:7.2f} ms  refused {sum(row['errors'] for row in of)}")
    if args.out:
        args.out.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
