//! What a client lets servers ask of it, as far as the gateway can carry the question.

use super::json::{JsonError, Kind, Scanner};
use super::raw::RawJson;

/// A set of client capabilities. Anything else a client declares is not passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientCaps {
    /// `elicitation.form` (or a plain `elicitation`, which older revisions mean by it).
    pub elicitation_form: bool,
    /// `elicitation.url`
    pub elicitation_url: bool,
    /// `sampling`
    pub sampling: bool,
    /// `sampling.tools`
    pub sampling_tools: bool,
    /// `roots`
    pub roots: bool,
}

impl ClientCaps {
    /// Reads a `capabilities` object.
    ///
    /// # Errors
    /// [`JsonError`] when a capability is no object.
    pub fn parse(raw: &RawJson) -> Result<Self, JsonError> {
        let mut caps = Self::default();
        raw.scanner().object(|scan, key| match key.as_ref() {
            "elicitation" => {
                let (mut form, mut url) = (false, false);
                members(scan, |name| match name {
                    "form" => form = true,
                    "url" => url = true,
                    _ => {}
                })?;
                (caps.elicitation_form, caps.elicitation_url) = (form || !url, url);
                Ok(())
            }
            "sampling" => {
                caps.sampling = true;
                members(scan, |name| caps.sampling_tools |= name == "tools")
            }
            "roots" => {
                caps.roots = true;
                scan.value().map(|_| ())
            }
            _ => scan.value().map(|_| ()),
        })?;
        Ok(caps)
    }

    /// What both sets have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::from_bits(self.bits() & other.bits())
    }

    /// True for the empty set.
    pub fn is_empty(self) -> bool {
        self.bits() == 0
    }

    /// One byte, for sealing.
    pub fn bits(self) -> u8 {
        let flags = [self.elicitation_form, self.elicitation_url, self.sampling, self.sampling_tools, self.roots];
        flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag))
    }

    /// The set of [`Self::bits`].
    pub fn from_bits(bits: u8) -> Self {
        let has = |at: u8| bits >> at & 1 == 1;
        Self { elicitation_form: has(0), elicitation_url: has(1), sampling: has(2), sampling_tools: has(3), roots: has(4) }
    }

    /// The `capabilities` object that declares this set.
    pub fn to_json(self) -> RawJson {
        if self.is_empty() {
            return RawJson::of_static("{}");
        }
        let mut parts = Vec::new();
        match (self.elicitation_form, self.elicitation_url) {
            (true, true) => parts.push(r#""elicitation":{"form":{},"url":{}}"#),
            (true, false) => parts.push(r#""elicitation":{"form":{}}"#),
            (false, true) => parts.push(r#""elicitation":{"url":{}}"#),
            (false, false) => {}
        }
        match (self.sampling, self.sampling_tools) {
            (true, true) => parts.push(r#""sampling":{"tools":{}}"#),
            (true, false) => parts.push(r#""sampling":{}"#),
            (false, _) => {}
        }
        if self.roots {
            parts.push(r#""roots":{}"#);
        }
        RawJson::of_ours(format!("{{{}}}", parts.join(",")).into_bytes())
    }
}

fn members(scan: &mut Scanner<'_>, mut see: impl FnMut(&str)) -> Result<(), JsonError> {
    if scan.peek()? != Kind::Object {
        return Err(JsonError::Shape("a capability is an object"));
    }
    scan.object(|scan, name| {
        see(name);
        scan.value().map(|_| ())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn check(json: &'static str, expect: &str) {
        let raw = RawJson::parse(Bytes::from_static(json.as_bytes()), 8).unwrap();
        let caps = ClientCaps::parse(&raw).unwrap();
        assert_eq!(caps.to_json().as_str(), expect);
        assert_eq!(ClientCaps::from_bits(caps.bits()), caps);
    }

    #[test]
    fn declares_what_it_can_carry_and_nothing_else() {
        check("{}", "{}");
        check(r#"{"elicitation":{}}"#, r#"{"elicitation":{"form":{}}}"#);
        check(r#"{"elicitation":{"url":{}},"experimental":{"x":{}}}"#, r#"{"elicitation":{"url":{}}}"#);
        check(
            r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{},"context":{}},"roots":{"listChanged":true},"tasks":{}}"#,
            r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{}}"#,
        );
    }

    #[test]
    fn refuses_capabilities_that_are_no_objects() {
        for json in [r#"{"elicitation":true}"#, r#"{"sampling":1}"#] {
            let raw = RawJson::parse(Bytes::from_static(json.as_bytes()), 8).unwrap();
            assert!(ClientCaps::parse(&raw).is_err(), "{json}");
        }
    }
}
