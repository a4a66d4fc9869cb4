//! What an approval is bound to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::policy::Approval;
use crate::vocab::{Class, Digest, PrincipalKey};

/// What one rule demands. Each is met by itself; one person can count in several, once in each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Id of the rule. Who approves is looked up in the policy in force, under this id.
    pub rule: Box<str>,
    /// Who approves, in the words of the policy, for people to read.
    pub from: Vec<String>,
    /// How many different people must say yes.
    pub quorum: u8,
    /// Whether who asks counts where a group of theirs is named. `from: [caller]` does not depend on it.
    pub requester: bool,
}

impl Gate {
    /// What `approval` demands.
    pub fn of(approval: &Approval) -> Self {
        let Approval { rule, quorum, requester, .. } = approval;
        Self { rule: (&**rule).into(), from: approval.words(), quorum: *quorum, requester: *requester }
    }

    /// Whether only who asks can meet it.
    pub fn is_of_caller(&self) -> bool {
        !self.from.is_empty() && self.from.iter().all(|word| word == "caller")
    }
}

/// One call, in every respect that an approver judges. A call that differs in any of them is another call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Issuer of who asks.
    pub iss: Box<str>,
    /// Subject of who asks.
    pub sub: Box<str>,
    /// The OAuth client that acts for them.
    pub client: Option<Box<str>>,
    /// Who acts for the subject (RFC 8693 section 4.1), as `ISSUER#SUBJECT`, the one that acts now first.
    pub actors: Vec<Box<str>>,
    /// The JSON-RPC method.
    pub method: Box<str>,
    /// Path of the route.
    pub route: Box<str>,
    /// The upstream.
    pub upstream: Box<str>,
    /// Which server that name means: where it is reached, or what is run for it.
    pub server: Digest,
    /// Full name of the tool or prompt (`upstream__name`), or `upstream__URI`.
    pub name: Box<str>,
    /// Digest of the definition, as the upstream listed it; empty for what has none.
    pub definition: Box<str>,
    /// SHA-256 of the canonical text of the arguments ([`crate::mcp::canonical`]).
    pub arguments: Digest,
    /// The class it was decided as.
    pub class: Class,
    /// Digest of the policy that demands the approval.
    pub policy: Box<str>,
    /// What is demanded, in the order of the rules' ids.
    pub gates: Vec<Gate>,
}

const DOMAIN: &[u8] = b"portcullis approval 2";

impl Bound {
    /// Who asks.
    pub fn requester(&self) -> PrincipalKey {
        PrincipalKey { iss: Arc::from(&*self.iss), sub: Arc::from(&*self.sub) }
    }

    /// The digest of all of it but the arguments: what a lease is bound to.
    pub(super) fn scope(&self) -> Digest {
        Self { arguments: Digest([0; 32]), ..self.clone() }.digest()
    }

    /// SHA-256 over all of it, each part with its length before it: no two calls share one.
    pub fn digest(&self) -> Digest {
        let Self { iss, sub, client, actors, method, route, upstream, server, .. } = self;
        let Self { name, definition, arguments, class, policy, gates, .. } = self;
        let mut all = Vec::new();
        let mut part = |bytes: &[u8]| {
            all.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            all.extend_from_slice(bytes);
        };
        part(DOMAIN);
        for text in [iss, sub, method, route, upstream, name, definition, policy] {
            part(text.as_bytes());
        }
        part(class.as_str().as_bytes());
        part(&server.0);
        part(&arguments.0);
        part(&[u8::from(client.is_some())]);
        part(client.as_deref().unwrap_or_default().as_bytes());
        part(&(actors.len() as u64).to_be_bytes());
        actors.iter().for_each(|actor| part(actor.as_bytes()));
        part(&(gates.len() as u64).to_be_bytes());
        for Gate { rule, from, quorum, requester } in gates {
            part(rule.as_bytes());
            part(&(from.len() as u64).to_be_bytes());
            from.iter().for_each(|word| part(word.as_bytes()));
            part(&[*quorum, u8::from(*requester)]);
        }
        Digest::of(&all)
    }
}
