//! From servers of clients to upstreams: names, and secrets that stay out.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use secrecy::SecretString;
use url::Url;

use super::address;
use super::client_file::{Launch, Server};
use super::secret;
use super::text::{Part, Text, variable};

/// An upstream to be.
pub(super) struct Planned {
    pub(super) name: String,
    /// What the client calls it.
    pub(super) given: String,
    pub(super) is_stdio: bool,
    /// Members of its entry in the config, as lines of YAML.
    pub(super) lines: Vec<String>,
    pub(super) notes: Vec<String>,
    /// Variables its entry names.
    pub(super) variables: Vec<String>,
}

/// Variables that the config refers to, with their values where a file has them.
#[derive(Default)]
pub(super) struct Variables(BTreeMap<String, Option<SecretString>>);

impl Variables {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What a variable is worth: as the files have it, or as the environment does.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        use secrecy::ExposeSecret as _;
        match self.0.get(name) {
            Some(Some(value)) => Some(value.expose_secret().to_owned()),
            _ => std::env::var(name).ok().filter(|value| !value.is_empty()),
        }
    }

    /// Takes a secret out of a file: the variable that stands for it from now on.
    fn hide(&mut self, wanted: String, fallback: String, value: &str) -> String {
        use secrecy::ExposeSecret as _;
        let same = |kept: Option<&Option<SecretString>>| match kept {
            None => true,
            Some(Some(kept)) => kept.expose_secret() == value,
            Some(None) => false,
        };
        let numbered = (2..).map(|n| format!("{fallback}_{n}"));
        let mut names = [wanted, fallback.clone()].into_iter().chain(numbered);
        let name = names.find(|name| same(self.0.get(name))).unwrap_or(fallback);
        self.0.insert(name.clone(), Some(value.to_owned().into()));
        name
    }

    fn name(&mut self, text: &Text) {
        for name in text.variables() {
            self.0.entry(name.to_owned()).or_default();
        }
    }
}

/// Plans all servers. Two that are the same are one.
pub(super) fn plan(servers: Vec<Server>, variables: &mut Variables) -> Vec<Planned> {
    // Names that files use themselves come first, so that none is taken for a secret of another server.
    for server in &servers {
        each_text(server, |text| variables.name(text));
    }
    let mut names = HashSet::new();
    let mut planned: Vec<Planned> = Vec::new();
    for server in servers {
        let name = upstream_name(&server.given, &names);
        let one = upstream(&name, server, variables);
        if let Some(twin) = planned.iter_mut().find(|other| other.given == one.given && other.lines == one.lines) {
            twin.notes.push("it is in more than one file".to_owned());
            continue;
        }
        names.insert(name);
        planned.push(one);
    }
    planned
}

fn each_text(server: &Server, mut found: impl FnMut(&Text)) {
    match &server.launch {
        Launch::Stdio { command, args, env, cwd } => {
            found(command);
            args.iter().chain(cwd).chain(env.iter().map(|(_, value)| value)).for_each(found);
        }
        Launch::Http { url, headers } => {
            found(url);
            headers.iter().for_each(|(_, value)| found(value));
        }
    }
}

/// `[a-z][a-z0-9-]{0,31}`, and not among `taken`.
fn upstream_name(given: &str, taken: &HashSet<String>) -> String {
    const CHARS_MAX: usize = 32;
    let mut name = String::new();
    for c in given.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => name.push(c),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, if name.is_empty() { "server" } else { "server-" });
    }
    let cut = |len: usize| name.chars().take(len).collect::<String>().trim_end_matches('-').to_owned();
    let numbered = (2_u32..).map(|n| {
        let number = format!("-{n}");
        cut(CHARS_MAX - number.len()) + &number
    });
    let first = cut(CHARS_MAX);
    std::iter::once(first.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(first)
}

fn upstream(name: &str, server: Server, variables: &mut Variables) -> Planned {
    let Server { given, base, launch, mut notes } = server;
    if given != name {
        notes.insert(0, format!("it is called `{name}` from now on"));
    }
    let is_stdio = matches!(launch, Launch::Stdio { .. });
    let mut texts = Texts { name, variables, used: Vec::new() };
    let lines = match launch {
        Launch::Stdio { command, args, env, cwd } => stdio(&mut texts, &base, (command, args, env, cwd), &mut notes),
        Launch::Http { url, headers } => http(&mut texts, &url, headers, &mut notes),
    };
    let variables = texts.used;
    Planned { name: name.to_owned(), given, is_stdio, lines, notes, variables }
}

/// Writes the texts of one server, without their secrets.
struct Texts<'a> {
    name: &'a str,
    variables: &'a mut Variables,
    used: Vec<String>,
}

impl Texts<'_> {
    fn write(&mut self, text: &Text) -> String {
        self.used.extend(text.variables().map(str::to_owned));
        text.to_yaml()
    }

    fn hide(&mut self, wanted: String, words: &[&str], value: &str) -> Text {
        let fallback: Vec<&str> = std::iter::once(self.name).chain(words.iter().copied()).collect();
        Text::variable(self.variables.hide(wanted, variable(&fallback), value))
    }

    /// A text with variables in it. What stands beside them is kept, unless it looks like a secret, or could be one where the text
    /// goes by the name of one: then all of it has to be given anew.
    fn mixed(&mut self, wanted: String, text: &Text, named_secret: bool) -> Text {
        let mut hides = text.literals().any(|literal| secret::is_value(literal) || (named_secret && !secret::is_scheme(literal)));
        if text.literals().any(|literal| literal.contains("://")) {
            address::without_secrets(text, |_, value| {
                hides |= !value.is_empty();
                Text::literal("")
            });
        }
        if !hides {
            return text.clone();
        }
        self.anew(wanted)
    }

    fn anew(&mut self, wanted: String) -> Text {
        self.variables.0.entry(wanted.clone()).or_default();
        Text::variable(wanted)
    }

    /// The argument `at` (from 1); `before` is the flag before it, if it is one.
    fn argument(&mut self, at: usize, before: Option<&str>, text: &Text) -> Text {
        let number = at.to_string();
        let flag = before.filter(|flag| !flag.contains('=') && secret::is_flag(flag));
        let Some(literal) = text.as_literal() else {
            let (own, rest) = text.after_flag();
            let wanted = variable(&[self.name, "arg", &number]);
            return match own.filter(|own| secret::is_name(own) || secret::is_flag(own)) {
                Some(_) if rest.literals().any(|literal| !secret::is_scheme(literal)) => self.anew(wanted),
                _ => self.mixed(wanted, text, flag.is_some()),
            };
        };
        if let Some((flag, value)) = literal.split_once('=').filter(|(flag, value)| !value.is_empty() && !secret::is_value(flag))
            && (secret::is_name(flag) || secret::is_flag(flag) || secret::is_value(value))
        {
            let wanted = if flag.starts_with('-') { variable(&[self.name, flag]) } else { variable(&[flag]) };
            let hidden = self.hide(wanted, &[flag], value);
            let mut parts = vec![Part::Literal(format!("{flag}="))];
            parts.extend(hidden.0);
            return Text(parts);
        }
        let header = literal.split_once(':').is_some_and(|(name, _)| !name.contains(['/', ' ', '@']) && secret::is_name(name));
        match flag {
            Some(flag) if !literal.starts_with('-') => self.hide(variable(&[self.name, flag]), &[flag], literal),
            _ if header || secret::is_value(literal) => {
                self.hide(variable(&[self.name, "arg", &number]), &["arg", &number], literal)
            }
            _ => text.clone(),
        }
    }
}

type Program = (Text, Vec<Text>, Vec<(String, Text)>, Option<Text>);

fn stdio(texts: &mut Texts<'_>, base: &Path, program: Program, notes: &mut Vec<String>) -> Vec<String> {
    let (command, args, env, cwd) = program;
    let placed = |text: &Text| match text.as_literal() {
        Some(path) if path.contains('/') && Path::new(path).is_relative() => absolute(base, path),
        _ => text.clone(),
    };
    let mut lines = vec!["stdio:".to_owned(), format!("  command: {}", texts.write(&placed(&command)))];
    // `-p` and `-u` before the first word are for the launcher.
    let own = if is_launcher(&command) { args.iter().take_while(|arg| is_short_flag(arg)).count() } else { 0 };
    let written: Vec<String> = args
        .iter()
        .enumerate()
        .map(|(at, arg)| {
            let before = at.checked_sub(1).filter(|at| *at >= own).and_then(|at| args.get(at)).and_then(Text::as_literal);
            let arg = texts.argument(at + 1, before, arg);
            texts.write(&arg)
        })
        .collect();
    if !written.is_empty() {
        lines.push(format!("  args: [{}]", written.join(", ")));
    }
    if !env.is_empty() {
        lines.push("  env:".to_owned());
    }
    for (name, value) in &env {
        let plain = value.literals().all(|text| secret::is_plain_variable(name, text));
        let value = match value.as_literal() {
            Some(literal) if !plain => texts.hide(variable(&[name]), &[name], literal),
            Some(_) => value.clone(),
            None => texts.mixed(variable(&[texts.name, name]), value, secret::is_name(name)),
        };
        lines.push(format!("    {}: {}", serde_json::Value::from(name.as_str()), texts.write(&value)));
    }
    let here = |arg: &Text| {
        arg.as_literal().is_some_and(|arg| arg.contains(['/', '.']) && Path::new(arg).is_relative() && base.join(arg).exists())
    };
    match cwd {
        Some(cwd) => lines.push(format!("  cwd: {}", texts.write(&placed(&cwd)))),
        None if args.iter().any(here) => {
            notes.push(format!("it runs in {}, where its arguments name files", base.display()));
            lines.push(format!("  cwd: {}", texts.write(&Text::literal(base.display().to_string()))));
        }
        None => {}
    }
    lines.push("  danger_unsandboxed: true   # there is no sandbox: it has every right the gateway has".to_owned());
    lines
}

/// Whether a command runs what its arguments name.
fn is_launcher(command: &Text) -> bool {
    let name = command.as_literal().and_then(|command| command.rsplit('/').next()).unwrap_or_default();
    name.starts_with("python") || matches!(name, "npx" | "node" | "bunx" | "uv" | "uvx" | "pipx")
}

fn is_short_flag(text: &Text) -> bool {
    text.as_literal().is_some_and(|text| text.starts_with('-') && text.len() == 2)
}

fn absolute(base: &Path, path: &str) -> Text {
    Text::literal(base.join(path.trim_start_matches("./")).display().to_string())
}

/// Headers that belong to the protocol, and are the gateway's own.
const PROTOCOL_HEADERS: &[&str] = &["accept", "content-type", "user-agent", "mcp-protocol-version", "connection"];

fn http(texts: &mut Texts<'_>, url: &Text, mut headers: Vec<(String, Text)>, notes: &mut Vec<String>) -> Vec<String> {
    let mut lines = vec!["http:".to_owned()];
    let written = match url.as_literal().and_then(|text| Url::parse(text).ok()) {
        Some(url) if secret::is_secret_url(&url) => {
            let path = url.as_str().split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
            let hidden = texts.hide(variable(&[texts.name, "url", "path"]), &["url", "path"], path);
            let start = url.as_str().strip_suffix(path).unwrap_or_default();
            texts.write(&Text([Part::Literal(start.to_owned())].into_iter().chain(hidden.0).collect()))
        }
        Some(_) => texts.write(url),
        None => {
            let url = address::without_secrets(url, |goes_by, value| {
                let words = ["url", goes_by];
                texts.hide(variable(&[texts.name, "url", goes_by]), &words, value)
            });
            texts.write(&url)
        }
    };
    lines.push(format!("  url: {written}"));
    if let Some(url) = url.as_literal().and_then(|text| Url::parse(text).ok()) {
        let (private, loopback) = (is_private(&url), crate::net::Origin::of(&url).is_some_and(|origin| origin.names_loopback()));
        if url.scheme() == "http" && !loopback {
            notes.push("it is reached without TLS, beyond this machine".to_owned());
            lines.push("  danger_plaintext: true   # everything sent there can be read and changed on the way".to_owned());
        }
        if private {
            notes.push("it is at a private address".to_owned());
            lines.push("allow_private_addresses: true".to_owned());
        }
    }
    headers.retain(|(name, _)| !PROTOCOL_HEADERS.contains(&name.to_ascii_lowercase().as_str()));
    // The one most likely to be what the server asks for.
    headers.sort_by_key(|(name, _)| (!name.eq_ignore_ascii_case("authorization"), !secret::is_name(name)));
    let mut headers = headers.into_iter();
    if let Some((name, value)) = headers.next() {
        lines.push(format!("credential: {}", credential(texts, &name, &value)));
    }
    notes.extend(headers.map(|(name, _)| format!("its header {name:?} was not carried over: an upstream has one credential")));
    lines
}

fn credential(texts: &mut Texts<'_>, name: &str, value: &Text) -> String {
    let bearer = name.eq_ignore_ascii_case("authorization").then(|| value.strip_prefix("Bearer ")).flatten();
    let words: &[&str] = if bearer.is_some() { &["token"] } else { &[name] };
    let value = bearer.as_ref().unwrap_or(value);
    let wanted = variable(&[&[texts.name], words].concat());
    let value = match value.as_literal() {
        Some(literal) => texts.hide(wanted, words, literal),
        None => texts.mixed(wanted, value, true),
    };
    let written = texts.write(&value);
    match bearer {
        Some(_) => format!("{{ bearer: {written} }}"),
        None => format!("{{ header: {{ name: {}, value: {written} }} }}", serde_json::Value::from(name)),
    }
}

fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => {
            let [a, b, ..] = address.octets();
            address.is_private() || (a == 100 && b & 0xc0 == 64)
        }
        Some(url::Host::Ipv6(address)) => address.is_unique_local(),
        _ => false,
    }
}
