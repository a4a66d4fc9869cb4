#!/usr/bin/env python3
"""What one call costs several builds of the gateway. See README.md.

    compare.py run NAME=PROGRAM…     interleaved, beside nginx and the bare hop, both with TLS: CPU, throughput, latency
    compare.py idle NAME=PROGRAM…    memory of each after its start
    compare.py count PROGRAM         instructions and cache misses per call, under callgrind (build with symbols:
                                     CARGO_PROFILE_DIST_STRIP=none)
"""
import argparse, collections, json, pathlib, re, resource, subprocess, time

import peers as kit
from bench import load

FIRST_PORT = 9400
# Of a core of today: level 1, and level 2 in the place of the last level.
CACHES = ["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"]
EVENTS = ["Ir", "I1mr", "D1mr", "D1mw"]
# The first that fits says where a function belongs.
PARTS = ["sha256", "portcullis::", "rustls", "hyper", "httparse", "tokio", "bytes::", "http::", "aws_lc|aes", "malloc|free",
         "mem(cpy|move|set|cmp)", "core::|alloc::|std::"]


def gateways(programs):
    """A peer for each NAME=PROGRAM."""
    pairs = [text.partition("=") for text in programs]
    return [kit.measured(name, FIRST_PORT + 20 * at, program) for at, (name, _, program) in enumerate(pairs)]


def run(args, upstream):
    catalogue = kit.catalogue()
    peers = [p for p in [catalogue["nginx-tls"], catalogue["hop-tls"], *gateways(args.programs)] if p.available()]
    try:
        for peer in peers:
            peer.start()
        targets = [word for peer in peers for word in ("--target", peer.target(upstream.pid))]
        for era in args.era.split(","):
            for conns in args.conns.split(","):
                for row in load("pair", *targets, "--era", era, "--conns", conns, "--rounds", args.rounds, "--duration", args.duration,
                                "--max-foreign", 30, "--retries", 0, "--wait-quiet", 1):
                    show(era, conns, row)
    finally:
        for peer in peers:
            peer.stop()


def show(era, conns, row):
    if row["kind"] == "failed":
        print(row["error"])
    for name, target in row.get("targets", {}).items():
        middle, best = target["median"], target["best"]
        print(f"{era:<10}{conns:>3} {name:<12} CPU s/10k {middle.get('proxy_cpu_s_per_10k', 0):.3f} (best "
              f"{best.get('proxy_cpu_s_per_10k') or 0:.3f})  req/s {middle.get('rps', 0):>7.0f}  p50 {middle.get('p50_us', 0):>7.0f} us  "
              f"p99 {middle.get('p99_us', 0):>7.0f} us  foreign {middle.get('foreign_pct', 0):.0f} %  errors {target['errors']}", flush=True)


def idle(args, _upstream):
    for peer in gateways(args.programs):
        peer.start()
        time.sleep(4)
        status = pathlib.Path(f"/proc/{peer.proc.pid}/status").read_text()
        peer.stop()
        print(peer.name, " ".join(re.findall(r"^(?:VmRSS|RssAnon|RssFile):\s+\d+ kB", status, re.M)), flush=True)


def count(args, _upstream):
    out = kit.RUN / "callgrind.out"
    for old in kit.RUN.glob("callgrind.out*"):
        old.unlink()
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", *CACHES, f"--callgrind-out-file={out}"]
    peer = kit.measured("callgrind", FIRST_PORT, args.programs[0], valgrind)
    peer.start()

    def control(*words):
        subprocess.run(["callgrind_control", *words, str(peer.proc.pid)], check=True, capture_output=True)

    def calls(seconds):
        options = ["--era", args.era.split(",")[0], "--conns", 4, "--warmup", 0, "--duration", seconds]
        return load("run", "--target", peer.target(), *options)[0]["requests"]

    try:
        calls(3)
        control("-i", "on")
        counted = calls(10)
        control("-d")
    finally:
        peer.stop()
    listing = subprocess.run(["callgrind_annotate", "--threshold=100", f"--show={','.join(EVENTS)}", f"{out}.1"], capture_output=True,
                             text=True).stdout
    print_counts(listing, counted)


def print_counts(listing, requests):
    parts, functions = collections.defaultdict(collections.Counter), []
    for line in listing.splitlines():
        found = re.match(r"\s*" + r"([\d,]+|\.)(?: \([^)]*\))?\s+" * len(EVENTS) + r"(\S.*)", line)
        if not found or "PROGRAM TOTALS" in line:
            continue
        counts = [0 if n == "." else int(n.replace(",", "")) for n in found.groups()[:-1]]
        name = re.sub(r"\s*\[/.*$", "", found.groups()[-1]).split(":", 1)[-1]
        part = next((part for part in PARTS if re.search(part, name)), "other")
        parts[part].update(dict(zip(EVENTS, counts)))
        functions.append((counts, name))
    print(f"{requests} calls; per call:\n" + "".join(f"{event:>9}" for event in EVENTS))
    for part, counts in sorted(parts.items(), key=lambda item: -item[1]["Ir"]):
        print("".join(f"{counts[event] / requests:>9.0f}" for event in EVENTS), "", part)
    print()
    for counts, name in sorted(functions, reverse=True)[:40]:
        print("".join(f"{n / requests:>9.0f}" for n in counts), "", name[:100])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "idle", "count"])
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--era", default="session,stateless")
    parser.add_argument("--conns", default="16,64")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=float, default=2)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if not (kit.KEYS / "jwks.json").exists():
        import keys
        keys.make(str(kit.KEYS))
    upstream = kit.start_upstream()
    try:
        {"run": run, "idle": idle, "count": count}[args.what](args, upstream)
    finally:
        upstream.terminate()


if __name__ == "__main__":
    main()
