//! The walk: calls as three people, of which a fourth approves one, each with the answer the gateway promises. Any other answer ends the
//! demo.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::DemoError;
use super::client::{Answer, Client};
use super::desk::{self, Desk};
use super::screen::Screen;
use super::trail::{self, Call, Expect};
use crate::identity::dev::{DevIssuer, TokenRequest};
use crate::vocab::Clock;

/// The route of the demo's config.
pub(super) const ROUTE: &str = "/mcp";
/// Life of the walk's tokens.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// JSON-RPC code of an unknown tool in revision 2026-07-28.
const UNKNOWN_TOOL: i64 = -32602;
/// Writes that the demo policy allows a writer per minute.
const WRITES_PER_MINUTE: usize = 3;

/// What is on record of the approval in the walk: who, and what.
const APPROVALS: &[(&str, &str)] =
    &[(WRITER.sub, "approval/ask"), (LEAD.sub, "approval/approve"), (WRITER.sub, "approval/use"), (WRITER.sub, "approval/ask")];

/// Somebody who calls.
struct Person {
    sub: &'static str,
    group: &'static str,
    sees: &'static [&'static str],
}

const READER: Person = Person { sub: "rita", group: "readers", sees: &["list_notes", "read_note", "search_notes"] };
const WRITER: Person =
    Person { sub: "wendy", group: "writers", sees: &["delete_note", "list_notes", "read_note", "search_notes", "write_note"] };
/// Calls nothing, and decides.
const LEAD: Person = Person { sub: "lena", group: "leads", sees: &[] };
const GUEST: Person = Person { sub: "gus", group: "guests", sees: &["read_note"] };

/// A client, tokens for everybody, and what was called so far.
pub(super) struct Walk {
    client: Client,
    desk: Desk,
    issuer: DevIssuer,
    audience: String,
    audit: PathBuf,
    /// What the ids of this walk's requests begin with, so that their records are found among others, and the id of its client.
    run: String,
    calls: Vec<Call>,
}

impl Walk {
    pub(super) fn new(origin: &str, ca: &Path, desk: Desk, issuer: DevIssuer, audit: PathBuf) -> Result<Self, DemoError> {
        let audience = format!("{origin}{ROUTE}");
        let client = Client::new(&audience, ca)?;
        let run = format!("demo-{}", uuid::Uuid::now_v7().simple());
        Ok(Self { client, desk, issuer, audience, audit, run, calls: Vec::new() })
    }

    /// Walks, and shows the record of every step.
    pub(super) async fn go(mut self, screen: &mut Screen<'_>) -> Result<(), DemoError> {
        self.lists(screen).await?;
        self.hidden(screen).await?;
        self.arguments(screen).await?;
        self.deletes(screen).await?;
        self.limit(screen).await?;
        self.approval(screen).await?;
        trail::show(screen, &self.audit, &self.calls, APPROVALS).await
    }

    async fn lists(&mut self, screen: &mut Screen<'_>) -> Result<(), DemoError> {
        screen.heading("1. Everybody sees only the tools that a rule could let them use.")?;
        for person in [&READER, &WRITER, &GUEST] {
            let expect = Expect::list();
            let answer = self.request(person, "tools/list", None, json!({}), expect).await?;
            let mut names = tool_names(&answer);
            names.sort_unstable();
            let expected: Vec<String> = person.sees.iter().map(|name| format!("notes__{name}")).collect();
            if names != expected {
                let what = format!("tools/list as {}", person.sub);
                return Err(DemoError::unexpected(what, expected.join(" "), answer.shown()));
            }
            screen.call(person.sub, &format!("({}) tools/list", person.group), true, &names.join("  "))?;
        }
        Ok(())
    }

    async fn hidden(&mut self, screen: &mut Screen<'_>) -> Result<(), DemoError> {
        screen.heading("2. A reader reads. A tool she may never use answers exactly like one that does not exist.")?;
        self.allowed(
            screen,
            &READER,
            "read_note",
            json!({ "folder": "public", "name": "welcome" }),
            Expect::allowed("staff-read"),
        )
        .await?;
        let arguments = json!({ "folder": "public", "name": "mine", "text": "Hello." });
        let mut messages = Vec::new();
        for (tool, reason) in [("write_note", "not_visible"), ("no_such_tool", "unknown_name")] {
            let (name, params) = call(tool, &arguments);
            let answer = self.request(&READER, "tools/call", Some(&name), params, Expect::denied(reason)).await?;
            match answer.error() {
                Some((UNKNOWN_TOOL, message)) => {
                    screen.call(READER.sub, &shown(&name, &arguments), false, &format!("error {UNKNOWN_TOOL}: {message}"))?;
                    messages.push(message.replace(&name, "NAME"));
                }
                _ => return Err(DemoError::unexpected(name, format!("error {UNKNOWN_TOOL}"), answer.shown())),
            }
        }
        match messages.as_slice() {
            [hidden, unknown] if hidden == unknown => Ok(()),
            _ => Err(DemoError::unexpected("a hidden and an unknown tool", "the same words", messages.join(" / "))),
        }
    }

    async fn arguments(&mut self, screen: &mut Screen<'_>) -> Result<(), DemoError> {
        screen.heading("3. Rules look at arguments: a guest reads public notes, and no private ones.")?;
        let public = json!({ "folder": "public", "name": "opening-hours" });
        self.allowed(screen, &GUEST, "read_note", public, Expect::allowed("guests-read-public")).await?;
        let private = json!({ "folder": "private", "name": "diary" });
        self.refused(screen, &GUEST, "read_note", private, Expect::denied("no_rule")).await?;
        Ok(())
    }

    async fn deletes(&mut self, screen: &mut Screen<'_>) -> Result<(), DemoError> {
        screen.heading("4. A writer empties the trash. The archive is kept by a deny rule, and a deny always wins.")?;
        let trash = json!({ "folder": "trash", "name": "old-draft" });
        self.allowed(screen, &WRITER, "delete_note", trash, Expect::allowed("writers-empty-trash").leaving()).await?;
        let archive = json!({ "folder": "archive", "name": "report-2025" });
        let expect = Expect::denied("rule_denied").by("keep-the-archive");
        self.refused(screen, &WRITER, "delete_note", archive.clone(), expect).await?;
        self.allowed(screen, &READER, "read_note", archive, Expect::allowed("staff-read")).await
    }

    async fn limit(&mut self, screen: &mut Screen<'_>) -> Result<(), DemoError> {
        screen.heading("5. She writes, three times a minute at most.")?;
        let note = |n: usize| json!({ "folder": "public", "name": format!("list-{n}"), "text": "Milk, bread, certificates." });
        for n in 1..=WRITES_PER_MINUTE {
            self.allowed(screen, &WRITER, "write_note", note(n), Expect::allowed("writers-write").leaving()).await?;
        }
        let one_more = note(WRITES_PER_MINUTE + 1);
        let answer = self.refused(screen, &WRITER, "write_note", one_more, Expect::denied("rate_limited")).await?;
        match answer.denial("retry_after_ms").and_then(Value::as_u64) {
            Some(1..) => Ok(()),
            _ => Err(DemoError::unexpected("a call over the limit", "retry_after_ms above 0", answer.shown())),
        }
    }

    async fn approval(&mut self, screen: &mut Screen<'_>) -> Result<(), DemoError> {
        screen.heading("6. She may delete a private note once a lead said yes to that very call. The yes is used up by it.")?;
        let salaries = json!({ "folder": "private", "name": "salaries" });
        let pending = Expect::denied("approval_required").by("writers-ask-a-lead");
        let asked = self.refused(screen, &WRITER, "delete_note", salaries.clone(), pending).await?;
        let id = approval_id(&asked)?;
        let token = self.token(&LEAD, self.desk.audience())?;
        let state = self.desk.approve(&token, &id, "agreed by phone").await?;
        screen.call(LEAD.sub, &format!("({}) POST {}", LEAD.group, desk::path(&id)), true, &state)?;
        if state != "approved" {
            return Err(DemoError::unexpected(format!("the request {id}"), "approved", state));
        }
        let expect = Expect::allowed("writers-ask-a-lead").leaving();
        self.allowed(screen, &WRITER, "delete_note", salaries.clone(), expect).await?;
        let again = approval_id(&self.refused(screen, &WRITER, "delete_note", salaries, pending).await?)?;
        if again == id { Err(DemoError::unexpected("the same call once more", "a new request", again)) } else { Ok(()) }
    }

    /// A call that must reach the server and come back with an answer.
    async fn allowed(
        &mut self,
        screen: &mut Screen<'_>,
        person: &Person,
        tool: &str,
        arguments: Value,
        expect: Expect,
    ) -> Result<(), DemoError> {
        let (name, params) = call(tool, &arguments);
        let answer = self.request(person, "tools/call", Some(&name), params, expect).await?;
        match answer.tool_text() {
            Some((text, false)) => screen.call(person.sub, &shown(&name, &arguments), true, &text),
            _ => Err(DemoError::unexpected(format!("{name} as {}", person.sub), "an answer of the tool", answer.shown())),
        }
    }

    /// A call that must be refused with a reason that an agent can read.
    async fn refused(
        &mut self,
        screen: &mut Screen<'_>,
        person: &Person,
        tool: &str,
        arguments: Value,
        expect: Expect,
    ) -> Result<Answer, DemoError> {
        let (name, params) = call(tool, &arguments);
        let (reason, rule) = (expect.reason, expect.rule);
        let answer = self.request(person, "tools/call", Some(&name), params, expect).await?;
        let record = answer.denial("record").and_then(Value::as_str).map(str::to_owned);
        let says = |member: &str| answer.denial(member).and_then(Value::as_str);
        match answer.tool_text() {
            Some((text, true))
                if says("reason") == Some(reason) && (rule.is_none() || says("rule") == rule) && record.is_some() =>
            {
                if let Some(call) = self.calls.last_mut() {
                    call.record = record;
                }
                screen.call(person.sub, &shown(&name, &arguments), false, &format!("{reason}: {text}"))?;
                Ok(answer)
            }
            _ => {
                let expected = format!("an error result with a denial: {reason} {}", rule.unwrap_or_default());
                Err(DemoError::unexpected(format!("{name} as {}", person.sub), expected, answer.shown()))
            }
        }
    }

    async fn request(
        &mut self,
        person: &Person,
        method: &'static str,
        name: Option<&str>,
        params: Value,
        expect: Expect,
    ) -> Result<Answer, DemoError> {
        let id = format!("{}-{}", self.run, self.calls.len() + 1);
        let token = self.token(person, &self.audience)?;
        self.calls.push(Call { id: id.clone(), sub: person.sub, method, expect, record: None });
        self.client.request(&token, &id, method, name, params).await
    }

    fn token(&self, person: &Person, audience: &str) -> Result<SecretString, DemoError> {
        let request = TokenRequest {
            sub: person.sub.to_owned(),
            groups: vec![person.group.to_owned()],
            scopes: Vec::new(),
            // A client of its own: what an earlier walk asked people is another client's.
            client_id: Some(self.run.clone()),
            audience: audience.to_owned(),
            expires: TOKEN_LIFE,
        };
        self.issuer.mint(&request, Clock::system().unix_s()).map_err(|error| DemoError::fault("a token", error))
    }
}

fn approval_id(answer: &Answer) -> Result<String, DemoError> {
    let id = answer.denial("approval_id").and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| DemoError::unexpected("a call that waits for a person", "an approval_id", answer.shown()))
}

fn call(tool: &str, arguments: &Value) -> (String, Value) {
    let name = format!("notes__{tool}");
    let params = json!({ "name": name, "arguments": arguments });
    (name, params)
}

/// A call as a person would write it down.
fn shown(name: &str, arguments: &Value) -> String {
    let members = arguments.as_object().into_iter().flatten();
    let members = members.map(|(key, value)| format!("{key}: {}", value.as_str().unwrap_or_default()));
    format!("{name} {{ {} }}", members.collect::<Vec<_>>().join(", "))
}

fn tool_names(answer: &Answer) -> Vec<String> {
    let tools = answer.body.get("result").and_then(|result| result.get("tools")).and_then(Value::as_array);
    let names = tools.into_iter().flatten().filter_map(|tool| tool.get("name")?.as_str());
    names.map(str::to_owned).collect()
}
