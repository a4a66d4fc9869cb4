//! Records as a gateway writes them, but made up: for measuring and for tests. Their chain is not sound.

use std::fmt::Write as _;

/// Random enough, and the same every time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Below `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.roll(from.len() as u64)).unwrap_or(0);
        from.get(at).copied().unwrap_or_default()
    }
}

/// A log that grows.
pub(super) struct Growing {
    dice: Dice,
    /// How many principals, and how many tools.
    pub(super) sizes: (u64, u64),
    /// Number and time of the last record.
    pub(super) seq: u64,
    unix_ms: u64,
    /// Intents whose outcome is still to come: number, and what they share with it.
    open: Vec<(u64, String)>,
}

const START_MS: u64 = 1_780_000_000_000;
const REASONS: [&str; 5] = ["rule_denied", "no_rule", "not_visible", "rate_limited", "arguments_invalid"];
const ERRORS: [&str; 3] = ["upstream", "timeout", "protocol"];

impl Growing {
    pub(super) fn new(seed: u64, principals: u64, tools: u64) -> Self {
        Self { dice: Dice(seed), sizes: (principals, tools), seq: 0, unix_ms: START_MS + seed % 1_000, open: Vec::new() }
    }

    /// The next record, with its line feed.
    pub(super) fn line(&mut self) -> String {
        self.seq += 1;
        self.unix_ms += self.dice.roll(40);
        if self.open.len() > 8 || (!self.open.is_empty() && self.dice.roll(3) == 0) {
            let at = usize::try_from(self.dice.roll(self.open.len() as u64)).unwrap_or(0);
            let (intent, shared) = self.open.swap_remove(at);
            // Some never end.
            if self.dice.roll(50) > 0 {
                let rest = format!("{shared},{},\"intent\":{intent}", self.outcome("completed", "allowed", ""));
                return self.sealed("outcome", &rest);
            }
        }
        match self.dice.roll(100) {
            0..20 => {
                let shared = format!("{},{}", self.call("write"), self.allowed());
                self.open.push((self.seq, shared.clone()));
                self.sealed("intent", &shared)
            }
            20..80 => self.read(),
            80..88 => self.refused(),
            88..93 => {
                let who = self.who();
                let outcome = self.outcome("completed", "allowed", "");
                self.sealed("list", &format!("{who},\"route\":\"/mcp\",\"method\":\"tools/list\",{outcome}"))
            }
            93..95 => {
                let outcome = self.outcome("refused", "unauthenticated", "");
                self.sealed("auth", &format!("\"route\":\"/mcp\",{outcome}"))
            }
            95..97 => {
                let (who, state) =
                    (self.who(), self.dice.pick(&["pending", "approved", "denied", "expired", "withdrawn", "used"]));
                let id = self.dice.roll(1 << 40);
                let approval =
                    format!("\"approval\":{{\"id\":\"ap{id:x}\",\"state\":\"{state}\",\"by\":[],\"arguments\":\"sha256:00\"}}");
                let outcome = self.outcome("completed", "allowed", "");
                self.sealed("approval", &format!("{who},\"method\":\"approvals/{state}\",{approval},{outcome}"))
            }
            97..99 => {
                let (kind, who) = (self.dice.pick(&["admin", "drift"]), self.who());
                let outcome = self.outcome("completed", "allowed", "");
                self.sealed(kind, &format!("{who},\"method\":\"policy/reload\",{outcome}"))
            }
            _ => {
                let hex = self.hex();
                self.sealed(
                    "checkpoint",
                    &format!("\"checkpoint\":{{\"log\":\"{hex}\",\"size\":1,\"root\":\"{hex}\",\"frontier\":[\"{hex}\"]}}"),
                )
            }
        }
    }

    fn read(&mut self) -> String {
        let call = self.call("read");
        let allowed = self.allowed();
        let outcome = match self.dice.roll(40) {
            0 => {
                let error = self.dice.pick(&ERRORS);
                self.outcome("faulted", "upstream_unavailable", error)
            }
            1 => self.outcome("timed_out", "upstream_timeout", "timeout"),
            _ => self.outcome("completed", "allowed", ""),
        };
        self.sealed("outcome", &format!("{call},{allowed},{outcome}"))
    }

    fn refused(&mut self) -> String {
        let (call, reason) = (self.call("write"), self.dice.pick(&REASONS));
        let observed = self.dice.roll(8) == 0;
        let (mode, rule) = (if observed { "observe" } else { "enforce" }, self.dice.roll(7));
        let rules = if reason == "rule_denied" { format!("\"deny-{rule}\",\"deny-all\"") } else { String::new() };
        let decision = format!(
            "\"decision\":{{\"effect\":\"deny\",\"mode\":\"{mode}\",\"reason\":\"{reason}\",\"rules\":[{rules}],\"obligations\":[],\
             \"policy\":\"sha256:{:064x}\"}}",
            self.seq / 5_000
        );
        let outcome = if observed { self.outcome("completed", "allowed", "") } else { self.outcome("denied", reason, "") };
        self.sealed("outcome", &format!("{call},{decision},{outcome}"))
    }

    fn who(&mut self) -> String {
        let (n, issuer) = (self.dice.roll(self.sizes.0), self.dice.roll(20) / 19);
        format!(
            "\"principal\":{{\"iss\":\"https://idp{issuer}.example.com\",\"sub\":\"user{n}@example.com\",\"client_id\":\"agent-{}\",\
             \"groups\":[\"engineering\",\"team-{}\"],\"scopes\":[\"mcp:read\",\"mcp:write\"]}}",
            n % 5,
            n % 9
        )
    }

    fn call(&mut self, class: &str) -> String {
        let (who, tool) = (self.who(), self.dice.roll(self.sizes.1));
        let (upstream, digest) = (tool % 11, self.hex());
        format!(
            "{who},\"route\":\"/mcp\",\"upstream\":\"up{upstream}\",\"method\":\"tools/call\",\"name\":\"up{upstream}__tool_{tool}\",\
             \"class\":\"{class}\",\"definition\":\"sha256:{tool:064x}\",\"args\":{{\"digest\":\"hmac-sha256:{digest}\",\
             \"fields\":{{\"/path\":\"/srv/a \\\"b\\\" {{{tool}\"}}}}"
        )
    }

    fn allowed(&self) -> String {
        format!(
            "\"decision\":{{\"effect\":\"allow\",\"mode\":\"enforce\",\"reason\":\"allowed\",\"rules\":[\"team\"],\"obligations\":[],\
             \"policy\":\"sha256:{:064x}\"}}",
            self.seq / 5_000
        )
    }

    fn outcome(&mut self, status: &str, reason: &str, error: &str) -> String {
        let (total, upstream, out) = (self.dice.roll(1 << 20), self.dice.roll(1 << 19), self.dice.roll(20_000));
        let error = if error.is_empty() { String::new() } else { format!("\"error_kind\":\"{error}\",") };
        let http = if status == "refused" { 401 } else { 200 };
        format!(
            "\"outcome\":{{\"status\":\"{status}\",\"reason\":\"{reason}\",{error}\"http\":{http},\"upstream_ms\":{}.{:03},\
             \"total_ms\":{}.{:03},\"bytes_in\":321,\"bytes_out\":{out}}}",
            upstream / 1_000,
            upstream % 1_000,
            total / 1_000,
            total % 1_000
        )
    }

    fn hex(&mut self) -> String {
        let mut text = String::with_capacity(64);
        for _ in 0..4 {
            // Writing to a String cannot fail.
            let _ = write!(text, "{:016x}", self.dice.roll(u64::MAX));
        }
        text
    }

    fn sealed(&mut self, kind: &str, rest: &str) -> String {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(self.unix_ms);
        let (time, prev, hash) = (humantime::format_rfc3339_millis(at), self.hex(), self.hex());
        let (id, trace) = (self.dice.roll(u64::MAX), self.hex());
        let trace = trace.get(..32).unwrap_or_default();
        let seq = self.seq;
        format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"{time}\",\"id\":\"r{id:016x}\",\"rpc_id\":\"{}\",\"kind\":\"{kind}\",\
             \"trace_id\":\"{trace}\",{rest},\"prev\":\"{prev}\",\"hash\":\"{hash}\"}}\n",
            seq % 1_000
        )
    }
}
