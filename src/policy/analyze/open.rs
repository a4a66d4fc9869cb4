//! Rules that allow everybody to change everything.

use super::Cx;
use super::pattern::Pattern;
use crate::policy::who::{ANONYMOUS, Who};
use crate::vocab::Class;

pub(super) fn find(cx: &mut Cx<'_>) {
    for entry in cx.rules.iter().filter(|entry| entry.is_allow() && entry.is_unconditional() && !entry.is_shadow) {
        // Who must have a scope, or be let through by somebody, is not just anybody.
        if entry.obligations.iter().any(|word| matches!(*word, "scope" | "approval")) {
            continue;
        }
        let changes = [Class::Write, Class::Destructive].into_iter().filter(|class| entry.rule.classes.has(*class)).max();
        let (Some(who), Some(class)) = (entry.rule.who.iter().find_map(everybody), changes) else { continue };
        let Some(wide) = entry.tools.iter().zip(&entry.rule.targets.tools).find(|(pattern, _)| whole(cx, pattern)) else {
            continue;
        };
        let message = format!("rule `{}` lets {who} call every {} tool of {}", entry.rule.id, class.as_str(), wide.1.canonical());
        let hint = "name the groups and tools that are meant, or add `arguments` or `require`";
        cx.warn("allow_all", entry, &wide.1.canonical(), message, hint);
    }
}

fn everybody(who: &Who) -> Option<&'static str> {
    match who {
        Who::Any => Some("anybody"),
        Who::Sub { issuer: None, glob } if glob.literal() == Some(ANONYMOUS) => Some("callers without a credential"),
        Who::Sub { glob, .. } | Who::Client(glob) if glob.canonical() == "*" => Some("everybody with a credential"),
        Who::Sub { .. } | Who::Client(_) | Who::Group(_) | Who::Scope(_) => None,
    }
}

/// Everything of at least one upstream.
fn whole(cx: &Cx<'_>, pattern: &Pattern) -> bool {
    let known = cx.facts.upstreams.iter().any(|name| pattern.covers(&Pattern::upstream(name)));
    known || pattern.is_whole_upstream()
}
