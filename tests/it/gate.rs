//! A whole gateway of the test's own: in process, or as the real program.

mod files;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use portcullis::app::{Running, load, start};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

pub(crate) use files::{CONFIG, Files, ISSUER_LINE, POLICY};

use crate::keys;
use crate::peer::{Peer, legacy, modern};
use crate::wire::{Reach, Req, Resp, SOON};

/// A gateway and its two upstreams: `up` without sessions, `old` with.
pub(crate) struct Gate {
    pub(crate) dir: TempDir,
    pub(crate) reach: Reach,
    pub(crate) admin: Reach,
    pub(crate) up: Peer,
    pub(crate) old: Peer,
    pub(crate) run: Run,
}

/// What runs it.
pub(crate) enum Run {
    Here(Box<Running>),
    Process(Box<Process>),
}

/// The real program; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) pid: u32,
    stderr: PathBuf,
}

impl Gate {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// In process, with `change` applied to its files.
    pub(crate) async fn with(change: impl FnOnce(&mut Files)) -> Self {
        let (dir, up, old) = Self::prepare(change).await;
        Self::here(dir, up, old).await
    }

    /// In process, on the files in `dir`.
    pub(crate) async fn here(dir: TempDir, up: Peer, old: Peer) -> Self {
        let loaded = load(&dir.path().join("portcullis.yaml")).map_err(|problems| format!("{problems:?}")).unwrap();
        let running = start(loaded).await.unwrap();
        let (mcp, admin) = (running.mcp_url(), running.admin_url().unwrap());
        Self::reached(dir, up, old, Run::Here(Box::new(running)), &mcp, &admin)
    }

    /// As the real program.
    pub(crate) async fn program(change: impl FnOnce(&mut Files)) -> Self {
        let (dir, up, old) = Self::prepare(change).await;
        Self::spawned(dir, up, old).await
    }

    /// As the real program, begun by `wrapper`, which ends by being the program.
    pub(crate) async fn wrapped(wrapper: impl FnOnce(&Path) -> Vec<String>, change: impl FnOnce(&mut Files)) -> Self {
        let (dir, up, old) = Self::prepare(change).await;
        let wrapper = wrapper(dir.path());
        Self::spawned_by(&wrapper, dir, up, old).await
    }

    /// Stops the gateway, or kills the program, and starts it anew with the same files.
    pub(crate) async fn again(self) -> Self {
        let Self { dir, up, old, run, .. } = self;
        match run {
            Run::Here(running) => {
                running.stop().await;
                Self::here(dir, up, old).await
            }
            Run::Process(mut process) => {
                process.child.kill().await.unwrap();
                Self::spawned(dir, up, old).await
            }
        }
    }

    /// What runs in process.
    pub(crate) fn running(&self) -> &Running {
        let Run::Here(running) = &self.run else { panic!("runs elsewhere") };
        running
    }

    async fn spawned(dir: TempDir, up: Peer, old: Peer) -> Self {
        Self::spawned_by(&[], dir, up, old).await
    }

    async fn spawned_by(wrapper: &[String], dir: TempDir, up: Peer, old: Peer) -> Self {
        let stderr = dir.path().join("stderr");
        let words = wrapper.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_portcullis"), "serve", "--config"]);
        let words: Vec<&str> = words.collect();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .arg(dir.path().join("portcullis.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&stderr).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        tokio::time::timeout(SOON, stdout.read_line(&mut line)).await.unwrap().unwrap();
        let word = |key: &str| line.split_whitespace().find_map(|w| w.strip_prefix(key)).map(str::to_owned);
        let (Some(mcp), Some(admin)) = (word("mcp="), word("admin=")) else {
            panic!("not ready: {line} {}", fs::read_to_string(&stderr).unwrap())
        };
        let process = Process { pid: child.id().unwrap(), child, stderr };
        Self::reached(dir, up, old, Run::Process(Box::new(process)), &mcp, &admin)
    }

    async fn prepare(change: impl FnOnce(&mut Files)) -> (TempDir, Peer, Peer) {
        let (up, old) = (Peer::start(modern).await, Peer::start(legacy).await);
        let config = CONFIG.replace("//UP/", &format!("//{}/", up.addr)).replace("//OLD/", &format!("//{}/", old.addr));
        let mut files = Files { config, policy: POLICY.to_owned(), more: Vec::new() };
        change(&mut files);
        files.be_patient();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("portcullis.yaml"), files.config).unwrap();
        fs::write(dir.path().join("policy.yaml"), files.policy).unwrap();
        fs::write(dir.path().join("jwks.json"), keys::jwks()).unwrap();
        for (name, text) in files.more {
            use std::os::unix::fs::PermissionsExt;
            fs::write(dir.path().join(&name), text).unwrap();
            fs::set_permissions(dir.path().join(&name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        (dir, up, old)
    }

    fn reached(dir: TempDir, up: Peer, old: Peer, run: Run, mcp: &str, admin: &str) -> Self {
        let addr = |url: &str| url.split("://").nth(1).unwrap().parse().unwrap();
        let given = dir.path().join("ca.pem");
        let ca = if given.exists() { given } else { dir.path().join("data/tls/ca.pem") };
        let reach = if ca.exists() { Reach::tls(addr(mcp), &ca) } else { Reach::plain(addr(mcp)) };
        Self { dir, reach, admin: Reach::plain(addr(admin)), up, old, run }
    }

    pub(crate) fn authority(&self) -> String {
        self.reach.addr.to_string()
    }

    /// The URL of a route, which is the audience of its tokens.
    pub(crate) fn url(&self, route: &str) -> String {
        format!("https://{}{route}", self.reach.addr)
    }

    /// A good token for every route.
    pub(crate) fn token(&self, sub: &str, groups: &[&str]) -> String {
        let audience = json!([self.url("/mcp"), self.url("/bare"), self.url("/legacy"), self.url("/new"), self.url("/scoped")]);
        keys::ED.token(&keys::header(), &keys::claims(&audience, sub, groups))
    }

    /// A POST with what every message needs.
    pub(crate) fn post(&self, route: &str, token: &str) -> Req {
        Req::new("POST", route)
            .add("Host", &self.authority())
            .add("Authorization", &format!("Bearer {token}"))
            .add("Content-Type", "application/json")
            .add("Accept", "application/json, text/event-stream")
    }

    /// A good request of 2026-07-28. `params` are the members of `params` beside `_meta`, ending in a comma if there are any.
    pub(crate) fn modern(&self, route: &str, token: &str, method: &str, params: &str) -> Req {
        self.post(route, token)
            .add("MCP-Protocol-Version", "2026-07-28")
            .add("Mcp-Method", method)
            .body(format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{params}"_meta":{{{META}}}}}}}"#))
    }

    /// A good tools/call of 2026-07-28.
    pub(crate) fn call(&self, route: &str, token: &str, tool: &str, arguments: &str) -> Req {
        let params = format!(r#""name":"{tool}","arguments":{arguments},"#);
        self.modern(route, token, "tools/call", &params).add("Mcp-Name", tool)
    }

    /// Opens a legacy session and returns its id.
    pub(crate) async fn session(&self, route: &str, token: &str, revision: &str) -> String {
        let opened = self.reach.send(&self.initialize(route, token, revision)).await;
        assert_eq!(opened.status, 200, "{}", opened.whole());
        assert_eq!(opened.json()["result"]["protocolVersion"], revision);
        let id = opened.header("mcp-session-id").unwrap().to_owned();
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let noted = self.reach.send(&self.legacy(route, token, revision, &id, initialized)).await;
        assert_eq!((noted.status, noted.body.len()), (202, 0), "{}", noted.whole());
        id
    }

    pub(crate) fn initialize(&self, route: &str, token: &str, revision: &str) -> Req {
        self.post(route, token).body(format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{}},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
        ))
    }

    /// A message of a legacy session.
    pub(crate) fn legacy(&self, route: &str, token: &str, revision: &str, session: &str, body: &str) -> Req {
        self.post(route, token).add("MCP-Protocol-Version", revision).add("Mcp-Session-Id", session).body(body)
    }

    /// How many requests reached any upstream, and how many connections.
    pub(crate) fn seen(&self) -> (usize, usize) {
        (self.up.seen().len() + self.old.seen().len(), self.up.connections() + self.old.connections())
    }

    /// The file of records, whole lines only.
    pub(crate) fn audit_text(&self) -> String {
        fs::read_to_string(self.dir.path().join("data/audit/audit.jsonl")).unwrap_or_default()
    }

    /// The records, without checkpoints, which are about no request.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = self.audit_text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let records = whole.lines().map(|line| serde_json::from_str(line).unwrap());
        records.filter(|record: &Value| record["kind"] != "checkpoint").collect()
    }

    /// Every record, once there are `count` that are no intents; more are an error.
    pub(crate) async fn settled(&self, count: usize) -> Vec<Value> {
        let outcomes = |records: &[Value]| records.iter().filter(|r| r["kind"] != "intent").count();
        soon("the records", || outcomes(&self.records()) >= count).await;
        // A record too many may come late.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let records = self.records();
        assert_eq!(outcomes(&records), count, "{records:#?}");
        records
    }

    /// The body of `path` on the admin listener, and its status.
    pub(crate) async fn admin(&self, path: &str) -> Resp {
        self.admin.send(&Req::new("GET", path).add("Host", &self.admin.addr.to_string())).await
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> String {
        let text = self.admin("/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
    }

    /// The most that was resident of the real program, in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// What is resident of the real program, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    fn status_kib(&self, of: &str) -> u64 {
        let Run::Process(process) = &self.run else { panic!("runs in process") };
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What the real program wrote to its log.
    pub(crate) fn log(&self) -> String {
        let Run::Process(process) = &self.run else { panic!("runs in process") };
        fs::read_to_string(&process.stderr).unwrap()
    }

    /// Ends the real program as an operator would; its exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        let Run::Process(process) = &mut self.run else { panic!("runs in process") };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(process.pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = tokio::time::timeout(SOON, process.child.wait()).await.unwrap().unwrap();
        let mut rest = String::new();
        if let Some(mut stdout) = process.child.stdout.take() {
            stdout.read_to_string(&mut rest).await.unwrap();
        }
        status.code()
    }

    /// Replaces one of the files and has it read.
    pub(crate) fn reload(&self, file: &str, text: &str) {
        fs::write(self.dir.path().join(file), text).unwrap();
        let Run::Here(running) = &self.run else { panic!("runs elsewhere") };
        running.reload_now();
    }
}

/// `_meta` of a good request.
pub(crate) const META: &str =
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;

/// Waits until `done`, or fails.
pub(crate) async fn soon(what: &str, done: impl Fn() -> bool) {
    let until = tokio::time::Instant::now() + SOON;
    while !done() {
        assert!(tokio::time::Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
