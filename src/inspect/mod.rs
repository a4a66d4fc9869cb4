//! What is done to an upstream's words before anybody sees them, as the permit of the call obliges.
//!
//! Layer 4. An [`Inspector`] is made of a permit only, and [`Inspected`] of an inspector only: a stage that demands the latter cannot
//! be reached by an answer that was not looked at.

mod measure;

#[cfg(test)]
mod tests;

use crate::mcp::reply::ResultKind;
use crate::mcp::{RawJson, Reply};
use crate::policy::permit::{Meter, Permit, Used};
use crate::scrub;

/// What people who decide by it are shown of a value.
#[derive(Clone, Debug)]
pub struct Masked {
    /// The value, with `[redacted: KIND, N characters]` in the place of its secrets.
    pub raw: RawJson,
    /// Secrets that were replaced.
    pub count: u64,
    /// Those of them that no known format tells, or that are long: nobody can say what they hide.
    pub unverified: u64,
}

/// `raw` without the secrets in it, as people are shown it who decide by it.
pub fn masked(raw: &RawJson) -> Masked {
    let Some(scrub::Masked { text, count, unverified }) = scrub::redact_for_people(raw.as_str()) else {
        return Masked { raw: raw.clone(), count: 0, unverified: 0 };
    };
    Masked { raw: json(text), count, unverified }
}

fn json(text: String) -> RawJson {
    RawJson::of_ours(text.into_bytes())
}

/// Looks at everything that one call yields.
#[derive(Debug)]
pub struct Inspector {
    redacts: bool,
    redacted: u64,
    meter: Meter,
}

/// Something that an inspector has let through.
#[derive(Debug)]
pub struct Inspected<T>(T);

impl<T> Inspected<T> {
    /// A look at it.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The thing itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Members of an object: key as its JSON token, value.
pub type Members = Vec<(RawJson, RawJson)>;

impl Inspector {
    /// What `permit` obliges to. What passes is charged to the limits of the permit when the inspector is dropped.
    pub fn of(permit: &mut Permit) -> Self {
        Self { redacts: permit.redacts(), redacted: 0, meter: permit.meter() }
    }

    /// Looks at the answer. Of an upstream's error nobody is shown the text, and at most parts of `data`.
    pub fn reply(&mut self, mut reply: Reply) -> Inspected<Reply> {
        if let Reply::Error(error) = &mut reply
            && let Some(data) = &mut error.data
        {
            self.meter.add(Used { bytes: length(data), text_bytes: 0 });
            self.value(data, None);
        }
        if let Reply::Result(body) = &mut reply {
            let bytes = body.meta.iter().chain(&body.members).map(|(key, value)| length(key) + length(value)).sum();
            self.meter.add(Used { bytes, text_bytes: measure::text_bytes(body) });
            // The upstream's own state goes back to it, sealed: nobody reads it on the way. Where nothing is asked it is a word like any.
            let asks = body.kind == ResultKind::InputRequired;
            let state = |(key, _): &(RawJson, RawJson)| scrub::meaning(key.as_str()).is_some_and(|key| key == "requestState");
            let sealed = if asks { body.members.iter().position(state) } else { None };
            body.meta.iter_mut().for_each(|member| self.member(member));
            for (at, member) in body.members.iter_mut().enumerate() {
                if Some(at) != sealed {
                    self.member(member);
                }
            }
        }
        Inspected(reply)
    }

    /// Looks at the members of a notification.
    pub fn members(&mut self, mut members: Members) -> Inspected<Members> {
        let bytes = members.iter().map(|(key, value)| length(key) + length(value)).sum();
        self.meter.add(Used { bytes, text_bytes: 0 });
        members.iter_mut().for_each(|member| self.member(member));
        Inspected(members)
    }

    /// Looks at the params of a notification or a question.
    pub fn params(&mut self, mut params: RawJson) -> Inspected<RawJson> {
        self.meter.add(Used { bytes: length(&params), text_bytes: 0 });
        self.value(&mut params, None);
        Inspected(params)
    }

    /// Secrets replaced so far.
    pub fn redacted(&self) -> u64 {
        self.redacted
    }

    /// What passed so far.
    pub fn used(&self) -> Used {
        self.meter.used()
    }

    fn member(&mut self, (key, value): &mut (RawJson, RawJson)) {
        self.value(value, Some(key));
        if self.redacts
            && let Some((clean, found)) = scrub::redact_key(key.as_str(), self.redacted)
        {
            *key = json(clean);
            self.redacted = self.redacted.saturating_add(found);
        }
    }

    fn value(&mut self, value: &mut RawJson, key: Option<&RawJson>) {
        if !self.redacts {
            return;
        }
        if let Some((clean, found)) = scrub::redact(value.as_str(), key.map(RawJson::as_str)) {
            *value = json(clean);
            self.redacted = self.redacted.saturating_add(found);
        }
    }
}

fn length(raw: &RawJson) -> u64 {
    raw.as_bytes().len() as u64
}
