"""How each system under test is started, and how it is addressed.

Nothing is installed or built here: a peer whose program is missing is skipped.
Where programs are found is set by environment variables, with lab defaults.
"""
import json, os, pathlib, shutil, signal, socket, subprocess, time, urllib.request

HERE = pathlib.Path(__file__).resolve().parent
BIN = HERE / "target" / "release"
LAB = pathlib.Path(os.environ.get("MCPBENCH_LAB", HERE / "out"))
PEERS = pathlib.Path(os.environ.get("MCPBENCH_PEERS", LAB / "peers"))
KEYS = pathlib.Path(os.environ.get("MCPBENCH_KEYS", LAB / "keys"))
RUN = pathlib.Path(os.environ.get("MCPBENCH_RUN", LAB / "run"))
AGENTGATEWAY = os.environ.get("MCPBENCH_AGENTGATEWAY", str(LAB / "agentgateway/target/release/agentgateway"))
PORTCULLIS = os.environ.get("PORTCULLIS_BIN", str(HERE.parents[1] / "target" / "dist" / "portcullis"))
STDIO = f"{BIN}/mcp-upstream --stdio"


def fill(template, name, **kw):
    text = (HERE / "peers" / template).read_text()
    for k, v in {"DIR": RUN, "KEYS": KEYS, **kw}.items():
        text = text.replace(f"@{k}@", str(v))
    path = RUN / name
    path.write_text(text)
    return str(path)


class Peer:
    """One way of reaching the upstream."""
    eras = ("session", "stateless")
    opts = ""
    group = "fast"
    streams = True

    def __init__(self, name, port, command=None, scheme="http", opts="", group="fast",
                 eras=("session", "stateless"), env=None, wait=30, needs=None, streams=True, after=None, host="127.0.0.1", path="/mcp"):
        self.name, self.port, self.command, self.scheme = name, port, command, scheme
        self.opts, self.group, self.eras, self.env, self.wait = opts, group, eras, env or {}, wait
        self.needs, self.streams, self.after, self.host, self.path = needs, streams, after, host, path
        self.proc = None

    def available(self):
        return not self.needs or shutil.which(self.needs) or os.path.exists(self.needs)

    def argv(self):
        return self.command() if callable(self.command) else self.command

    def start(self):
        RUN.mkdir(parents=True, exist_ok=True)
        argv = self.argv()
        if argv is None:
            return
        if listening(self.port):
            raise RuntimeError(f"something already listens on {self.port}")
        log = open(RUN / f"{self.name}.log", "wb")
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=RUN,
                                     env={**os.environ, **(self.env() if callable(self.env) else self.env)})
        end = time.time() + self.wait
        while time.time() < end:
            if self.proc.poll() is not None:
                raise RuntimeError(f"{self.name} exited; see {RUN}/{self.name}.log")
            try:
                socket.create_connection((self.host, self.port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise RuntimeError(f"{self.name} did not listen on {self.port}")
        if self.after:
            self.after(self)

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(8)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.proc = None

    def target(self, upstream_pid=None, label=None):
        t = f"{label or self.name}={self.scheme}://{self.host}:{self.port}{self.path}"
        if self.proc:
            t += f",pid=proxy:{self.proc.pid}"
        if upstream_pid:
            t += f",pid=up:{upstream_pid}"
        return t + (f",{self.opts}" if self.opts else "")


def agentgateway(name, port, template, mode, tls=False, log="error"):
    listener = (f"name: tls\n    protocol: HTTPS\n    tls: {{cert: {KEYS}/server.pem, key: {KEYS}/server.key}}"
                if tls else "name: plain")
    return [AGENTGATEWAY, "-f", fill(template, f"{name}.yaml", PORT=port, MODE=mode, TLS=listener, LOG=log,
                                     ADMIN=port + 300, STATS=port + 400, READY=port + 500)]


def contextforge_env():
    return {
        "DATABASE_URL": f"sqlite:///{RUN}/contextforge.db", "CACHE_TYPE": "memory",
        "JWT_SECRET_KEY": (KEYS / "hs256.secret").read_text(),
        "AUTH_ENCRYPTION_SECRET": "bench-encryption-secret-0123456789abcdef",
        "BASIC_AUTH_PASSWORD": "Bench-Passw0rd-xyz", "PLATFORM_ADMIN_PASSWORD": "Bench-Passw0rd-xyz",
        "REQUIRE_PASSWORD_CHANGE_FOR_DEFAULT_PASSWORD": "false", "REQUIRE_USER_IN_DB": "false",
        "SSRF_ALLOW_LOCALHOST": "true", "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "MCPGATEWAY_UI_ENABLED": "false", "PLUGINS_ENABLED": "false", "MCPGATEWAY_CATALOG_ENABLED": "false",
        "LOG_LEVEL": "ERROR", "OBSERVABILITY_ENABLED": "false", "STRUCTURED_LOGGING_ENABLED": "false",
        "COMPRESSION_ENABLED": "false", "SECURITY_HEADERS_ENABLED": "false", "CORRELATION_ID_ENABLED": "false",
        "CORS_ENABLED": "false", "TOKEN_USAGE_LOGGING_ENABLED": "false", "METRICS_AGGREGATION_ENABLED": "false",
        "OTEL_TRACES_EXPORTER": "none", "HOST": "127.0.0.1",
        # Its limiter locks the account out within seconds of any load.
        "RATE_LIMITING_ENABLED": "false", "TOOL_RATE_LIMIT": "100000000", "TOOL_CONCURRENT_LIMIT": "1000",
    }


def contextforge_register(peer):
    """Registers the upstream as a gateway peer once the service answers."""
    token = (KEYS / "contextforge.jwt").read_text().strip()

    def call(path, body=None):
        r = urllib.request.Request(f"http://127.0.0.1:{peer.port}{path}", data=body and json.dumps(body).encode(),
                                   headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(r, timeout=30))
    for _ in range(120):
        try:
            call("/health")
            break
        except OSError:
            time.sleep(0.5)
    if not call("/gateways"):
        call("/gateways", {"name": "bench", "url": "http://127.0.0.1:9000/mcp", "transport": "STREAMABLEHTTP"})


def portcullis(port, program=PORTCULLIS, name="portcullis"):
    """TLS, JWT, 100 rules, audit on: the state it ships in. What it keeps is in a directory of that name."""
    home = RUN / name
    shutil.rmtree(home, ignore_errors=True)
    (home / "policies").mkdir(parents=True)
    for file in ("server.pem", "server.key", "jwks.json"):
        shutil.copy(KEYS / file, home / file)
    os.chmod(home / "server.key", 0o600)
    rules = [{"id": "callers-read", "effect": "allow", "principals": ["group:bench"], "tools": ["bench__*"],
              "classes": ["read"], "require": {"limit": [{"calls": 100000000, "per": "1s", "by": ["principal"]}]}}]
    rules += [{"id": f"other-{n}", "effect": "allow", "principals": [f"group:team-{n % 20}"],
               "tools": [f"bench__tool_{n}_*" if n % 2 else f"other{n}__*"], "arguments": {"/path": {"path_under": [f"/srv/{n}"]}}}
              for n in range(94)]
    rules += [{"id": f"never-{n}", "effect": "deny", "tools": [f"bench__drop_{n}"]} for n in range(5)]
    groups = {"bench": {"claim": "groups", "any_of": ["bench"]}}
    groups.update({f"team-{n}": {"claim": "groups", "any_of": [f"team-{n}"]} for n in range(20)})
    policy = {"version": 1, "groups": groups, "rules": rules,
              "tools": [{"match": ["bench__*"], "class": "read"}]}
    (home / "policies/bench.yaml").write_text(json.dumps(policy))
    config = {"version": 1, "listen": f"127.0.0.1:{port}", "data_dir": "data",
              "tls": {"cert": "server.pem", "key": "server.key"},
              "identity": {"issuers": [{"issuer": "https://bench.invalid", "audience": ["mcp-bench"], "jwks": "file:jwks.json",
                                        "algorithms": ["RS256"]}]},
              "routes": [{"path": "/mcp", "upstreams": ["bench"]}],
              "upstreams": [{"name": "bench", "http": {"url": "http://127.0.0.1:9000/mcp"}}],
              "policies": ["policies"], "admin": {"listen": f"127.0.0.1:{port + 300}"},
              "limits": {"connections": 20000, "in_flight": 20000, "sessions_per_principal": 20000, "streams_per_principal": 256},
              "telemetry": {"log": "warn"}}
    (home / "portcullis.yaml").write_text(json.dumps(config))
    return [program, "serve", "--config", str(home / "portcullis.yaml")]


def measured(name, port, program=PORTCULLIS, wrapper=()):
    """A gateway as a peer. `wrapper` is a command that runs it."""
    return Peer(name, port, lambda: [*wrapper, *portcullis(port, program, name)], scheme="https",
                opts=f"token=@{KEYS}/rs256.jwt,ca={KEYS}/ca.pem,tool=bench__echo", group="policy", needs=program, wait=120)


def catalogue():
    jwt = f"token=@{KEYS}/rs256.jwt"
    ca = f"ca={KEYS}/ca.pem"
    py = lambda venv, prog: str(PEERS / venv / "venv/bin" / prog)
    node = lambda prog: str(PEERS / "node/node_modules/.bin" / prog)
    slow = dict(group="slow", eras=("session",))

    def nginx(port, tls):
        name = f"nginx-{port}"
        cert = (f"ssl_certificate {KEYS}/server.pem; ssl_certificate_key {KEYS}/server.key; "
                "ssl_protocols TLSv1.3 TLSv1.2; ssl_session_cache shared:s:10m;")
        conf = fill("nginx.conf", f"{name}.conf", PORT=port, NAME=name, TLS="ssl" if tls else "", CERT=cert if tls else "")
        return ["nginx", "-c", conf, "-g", "daemon off;"]

    def haproxy(port, tls):
        bind = f"ssl crt {KEYS}/server.both.pem alpn http/1.1" if tls else ""
        return ["haproxy", "-db", "-f", fill("haproxy.cfg", f"haproxy-{port}.cfg", PORT=port, TLS=bind)]

    agw = dict(needs=AGENTGATEWAY, host="127.0.0.1")
    peers = [
        Peer("direct", 9000),
        Peer("hop", 9100, [f"{BIN}/mcp-hop", "--listen", "127.0.0.1:9100"]),
        Peer("hop-tls", 9101, [f"{BIN}/mcp-hop", "--listen", "127.0.0.1:9101", "--cert", f"{KEYS}/server.pem", "--key",
                               f"{KEYS}/server.key"], scheme="https", opts=ca, group="tls"),
        measured("portcullis", 9160),
        Peer("nginx", 9110, lambda: nginx(9110, False), needs="nginx"),
        Peer("nginx-tls", 9111, lambda: nginx(9111, True), scheme="https", opts=ca, group="tls", needs="nginx"),
        Peer("haproxy", 9120, lambda: haproxy(9120, False), needs="haproxy"),
        Peer("haproxy-tls", 9121, lambda: haproxy(9121, True), scheme="https", opts=ca, group="tls", needs="haproxy"),
        Peer("agw", 9130, lambda: agentgateway("agw", 9130, "agentgateway.yaml", "stateful"), **agw),
        Peer("agw-stateless", 9131, lambda: agentgateway("agw-stateless", 9131, "agentgateway.yaml", "stateless"), **agw),
        Peer("agw-jwt", 9132, lambda: agentgateway("agw-jwt", 9132, "agentgateway-policy.yaml", "stateful"), opts=jwt,
             group="policy", **agw),
        Peer("agw-jwt-log", 9133, lambda: agentgateway("agw-jwt-log", 9133, "agentgateway-policy.yaml", "stateful", log="info"),
             opts=jwt, group="policy", **agw),
        Peer("agw-tls-jwt-log", 9134, lambda: agentgateway("agw-tls-jwt-log", 9134, "agentgateway-policy.yaml", "stateful",
                                                           tls=True, log="info"),
             scheme="https", opts=f"{jwt},{ca}", group="policy", **agw),
        Peer("contextforge", 9140, [py("py-cf", "mcpgateway"), "--host", "127.0.0.1", "--port", "9140"], env=contextforge_env,
             opts=f"token=@{KEYS}/contextforge.jwt,tool=bench-echo", wait=120, needs=py("py-cf", "mcpgateway"),
             after=contextforge_register, **slow),
        Peer("mcp-proxy-py", 9150, [py("py-proxy", "mcp-proxy"), "--host", "127.0.0.1", "--port", "9150", "--", *STDIO.split()],
             needs=py("py-proxy", "mcp-proxy"), **slow),
        Peer("mcp-proxy-npm", 9151, [node("mcp-proxy"), "--host", "127.0.0.1", "--port", "9151", "--server", "stream", "--",
                                     *STDIO.split()], needs=node("mcp-proxy"), **slow),
        Peer("fastmcp", 9152, [py("py-fastmcp", "python"), str(HERE / "peers/fastmcp_proxy.py"), "9152"],
             needs=py("py-fastmcp", "python"), **slow),
        Peer("supergateway", 9153, [node("supergateway"), "--stdio", STDIO, "--outputTransport", "streamableHttp", "--stateful",
                                    "--port", "9153", "--logLevel", "none"], needs=node("supergateway"), **slow),
    ]
    return {p.name: p for p in peers}


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def start_upstream():
    RUN.mkdir(parents=True, exist_ok=True)
    if listening(9000):
        raise SystemExit("something already listens on 9000")
    p = subprocess.Popen([f"{BIN}/mcp-upstream", "--listen", "127.0.0.1:9000", "--listen-sse", "127.0.0.1:9001"],
                         stdout=subprocess.DEVNULL, stderr=open(RUN / "upstream.log", "wb"))
    time.sleep(0.3)
    return p
