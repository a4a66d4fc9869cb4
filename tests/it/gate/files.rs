//! What a gateway of the tests reads, unless a test says otherwise.

/// What a gateway reads.
pub(crate) struct Files {
    pub(crate) config: String,
    pub(crate) policy: String,
    /// Further files: name and contents. Only the owner may read them.
    pub(crate) more: Vec<(String, String)>,
}

impl Files {
    /// The disk of a machine that tests may be slow: unless the test is about that, intents have time.
    pub(super) fn be_patient(&mut self) {
        const PATIENCE: &str = "intent_timeout: 30s";
        let config = &mut self.config;
        if config.contains("intent_timeout:") {
            return;
        }
        if config.contains("\naudit: {") {
            *config = config.replacen("\naudit: {", &format!("\naudit: {{ {PATIENCE},"), 1);
        } else if config.contains("\naudit:\n") {
            *config = config.replacen("\naudit:\n", &format!("\naudit:\n  {PATIENCE}\n"), 1);
        } else {
            config.push_str(&format!("\naudit: {{ {PATIENCE} }}\n"));
        }
    }
}

/// Where more of the section `identity` goes before.
pub(crate) const ISSUER_LINE: &str = "  issuers: [{ issuer: \"https://idp.example.com\",";

pub(crate) const CONFIG: &str = r#"
version: 1
listen: 127.0.0.1:0
data_dir: data
tls: self_signed
allowed_origins: ["https://app.example.com", "https://app.example.com:8444"]
limits: { depth: 64, call_timeout: 10s }
identity:
  issuers: [{ issuer: "https://idp.example.com", jwks: "file:jwks.json", algorithms: [RS256, ES256, EdDSA] }]
routes:
  - { path: /mcp, upstreams: [up, old] }
  - { path: /bare, upstreams: [up], names: bare }
  - { path: /legacy, upstreams: [old], names: bare }
  - { path: /scoped, upstreams: [up], names: bare, scopes: ["mcp:admin"] }
  - { path: /new, upstreams: [up], min_version: 2026-07-28 }
upstreams:
  - { name: up, http: { url: "http://UP/mcp" }, credential: { bearer: upstream-credential-canary }, timeout: 9s }
  - { name: old, http: { url: "http://OLD/mcp" }, timeout: 9s }
policies: [policy.yaml]
admin: { listen: "127.0.0.1:0" }
"#;

pub(crate) const POLICY: &str = r#"
version: 1
groups:
  eng: { claim: groups, any_of: [eng] }
  ops: { claim: groups, any_of: [ops] }
  guests: { claim: groups, any_of: [guests] }
tools:
  - match: ["*__echo", "*__limited", "*__mirror", "*__two__parts", "*__nnn*", "*__lll*", "*__raised", "*__hidden"]
    class: read
  - { match: ["*__write"], class: write }
rules:
  - id: eng
    effect: allow
    principals: ["group:eng"]
    tools: ["*"]
    classes: [read, write]
    resources: ["*__file:///srv/public/*"]
    prompts: ["*__greet"]
  - { id: ops, effect: allow, principals: ["group:ops"], tools: ["up__delete"], classes: [destructive] }
  - { id: hide, effect: deny, tools: ["*__hidden"] }
  - { id: no-etc, effect: deny, tools: ["*"], arguments: { /path: { path_under: [/etc] } } }
  - id: guests
    effect: allow
    principals: ["group:guests"]
    tools: ["up__echo"]
    arguments: { /path: { path_under: [/srv] } }
  - id: two-an-hour
    effect: allow
    principals: ["group:eng"]
    tools: ["up__limited"]
    require: { limit: [{ calls: 2, per: 1h, by: [principal] }] }
"#;
