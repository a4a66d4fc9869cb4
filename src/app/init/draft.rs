//! The texts that are written: config, policy, cases.

use std::fmt::Write as _;

use super::contact::Tool;
use super::plan::Planned;
use super::words::plain;
use crate::vocab::Class;

/// An upstream and what is known of its tools.
pub(super) struct Found<'a> {
    pub(super) planned: &'a Planned,
    /// `Err` says why they are not known.
    pub(super) tools: &'a Result<Vec<Tool>, String>,
}

/// The name of the group that may read.
const GROUP: &str = "users";
/// Cases written for one upstream.
const CASES_MAX: usize = 3;

/// The config for `planned`, with policies in the directory `name`.
pub(super) fn config(planned: &[Planned], name: &str) -> String {
    let names: Vec<&str> = planned.iter().map(|one| one.name.as_str()).collect();
    let mut out = format!(
        "# Written by `portcullis init`. Check it with `portcullis check`; docs/config.md has every key.
# `${{env:NAME}}` is replaced by that environment variable: no secret stands in this file.
version: 1
listen: 127.0.0.1:8443

# For this machine only. In production: {{ cert: server.pem, key: server.key }}.
tls: self_signed

# Tokens for trying it out come from `portcullis token`. In production: `issuers` or `api_keys`.
identity: {{ dev: {{ enabled: true }} }}

routes:
  - {{ path: /mcp, upstreams: [{}] }}

upstreams:
",
        names.join(", ")
    );
    for one in planned {
        let _ = writeln!(out, "  # {}", plain(&one.given));
        for note in &one.notes {
            let _ = writeln!(out, "  # ({})", plain(note));
        }
        let _ = writeln!(out, "  - name: {}", one.name);
        for line in &one.lines {
            let _ = writeln!(out, "    {line}");
        }
    }
    let _ = writeln!(out, "\npolicies: [../policies/{name}]");
    out
}

/// The first policy: everything classified, one group that may read, nothing else.
pub(super) fn policy(found: &[Found<'_>]) -> String {
    let mut out = String::from(
        "# Written by `portcullis init`: a first policy, to be read before it is used.
# Nothing is allowed unless a rule below says so, and a deny always wins.
version: 1
",
    );
    let readable: Vec<&str> =
        found.iter().filter(|one| of_class(one, Class::Read).next().is_some()).map(|one| one.planned.name.as_str()).collect();
    if !readable.is_empty() {
        let _ = write!(
            out,
            "
# Who is who, by the `groups` claim of the verified token.
groups:
  {GROUP}: {{ claim: groups, any_of: [{GROUP}] }}
  # approvers: {{ claim: groups, any_of: [approvers] }}
"
        );
    }
    classes(&mut out, found);
    if readable.is_empty() {
        out.push_str(
            "
# No tool is known to only read, so no rule is written: everything is refused. Classify tools above, then such as:
# groups:
#   users: { claim: groups, any_of: [users] }
# rules:
#   - { id: users-read, effect: allow, principals: [\"group:users\"], tools: [\"UPSTREAM__*\"] }
",
        );
        return out;
    }
    let tools: Vec<String> = readable.iter().map(|name| format!("\"{name}__*\"")).collect();
    let tools = tools.join(", ");
    let _ = write!(
        out,
        "
rules:
  # They may call what only reads. (No `classes`: an allow rule that names none is about reading.)
  - id: {GROUP}-read
    effect: allow
    principals: [\"group:{GROUP}\"]
    tools: [{tools}]

  # What writes is refused. To let it through once somebody of `approvers` (above) has looked at the call, such as the rule below.
  # What overwrites or deletes is `destructive` and needs a word of its own: `classes: [write, destructive]`.
  # - id: {GROUP}-write
  #   effect: allow
  #   principals: [\"group:{GROUP}\"]
  #   tools: [{tools}]
  #   classes: [write]
  #   require:
  #     approval: {{ from: [\"group:approvers\"] }}
"
    );
    out
}

fn classes(out: &mut String, found: &[Found<'_>]) {
    let any = found.iter().any(|one| one.tools.as_ref().is_ok_and(|tools| !tools.is_empty()));
    let comment = |out: &mut String| {
        out.push_str(
            "
# What each tool does to the world. These are proposals, from names and from what the servers say of themselves, whose own words
# stand behind each: look at every line. A tool that no line names counts as destructive.
",
        );
    };
    comment(out);
    out.push_str(if any { "tools:\n" } else { "# tools:\n" });
    for Found { planned, tools } in found {
        match tools {
            Err(why) => {
                let _ = writeln!(out, "  # {}: not listed: {}. Such as:", planned.name, plain(why));
                let _ = writeln!(out, "  # - {{ match: [\"{}__read_*\"], class: read }}", planned.name);
            }
            Ok(tools) => {
                let _ = writeln!(out, "  # {}: {}", planned.name, count(tools.len()));
                for tool in tools {
                    let line = format!("  - {{ match: [\"{}\"], class: {} }}", tool.full, tool.class.as_str());
                    let _ = match tool.about.as_str() {
                        "" => writeln!(out, "{line}"),
                        about => writeln!(out, "{line}   # {about}"),
                    };
                }
            }
        }
    }
}

/// What the policy promises.
pub(super) fn cases(found: &[Found<'_>]) -> String {
    let mut out = String::from("# What the first policy promises. `portcullis test` checks every line.\n");
    for one in found {
        let _ = write!(
            out,
            "- name: strangers reach nothing of {name}
  as: {{ sub: sam }}
  call: {name}__anything
  expect: deny
  reason: not_visible
",
            name = one.planned.name
        );
        for tool in of_class(one, Class::Read).take(CASES_MAX) {
            let name = &tool.full;
            let _ = write!(
                out,
                "- name: {GROUP} may call {name}
  as: {{ sub: ursula, groups: [{GROUP}] }}
  call: {name}
  expect: allow
- name: strangers do not see {name}
  as: {{ sub: sam }}
  call: {name}
  expect: deny
  reason: not_visible
"
            );
        }
        for tool in [Class::Write, Class::Destructive].into_iter().filter_map(|class| of_class(one, class).next()) {
            let name = &tool.full;
            let _ = write!(
                out,
                "- name: {GROUP} do not see {name}
  as: {{ sub: ursula, groups: [{GROUP}] }}
  call: {name}
  expect: deny
  reason: not_visible
"
            );
        }
    }
    out
}

fn of_class<'f>(found: &'f Found<'_>, class: Class) -> impl Iterator<Item = &'f Tool> {
    found.tools.iter().flatten().filter(move |tool| tool.class == class)
}

fn count(tools: usize) -> String {
    format!("{tools} {}", if tools == 1 { "tool" } else { "tools" })
}
