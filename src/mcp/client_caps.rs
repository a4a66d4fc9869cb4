//! What a client lets servers ask of it, as far as the gateway can carry the question.

use super::json::{JsonError, Kind, Scanner};
use super::keys;
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
    /// Nothing.
    pub const NONE: Self =
        Self { elicitation_form: false, elicitation_url: false, sampling: false, sampling_tools: false, roots: false };
    /// Everything the gateway can carry.
    pub const ALL: Self =
        Self { elicitation_form: true, elicitation_url: true, sampling: true, sampling_tools: true, roots: true };

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

    /// True when a client with these capabilities can be asked `method` with `params`, an object if there are any.
    ///
    /// A URL for a person is https. A form that a client could take for a URL, or a task, is no question that is known here.
    pub fn cover(self, method: &str, params: Option<&RawJson>) -> bool {
        let asked = match params {
            Some(params) if params.kind() == Some(Kind::Object) => Asked::read(params),
            Some(_) => return false,
            None => Ok(Asked::default()),
        };
        let Ok(asked) = asked else { return false };
        match (method, asked.mode.as_deref()) {
            ("elicitation/create", Some("url")) => self.elicitation_url && asked.has_url && params.is_some(),
            ("elicitation/create", None | Some("form")) => self.elicitation_form && !asked.has_url && params.is_some(),
            ("sampling/createMessage", _) => self.sampling && (self.sampling_tools || !asked.has_tools) && params.is_some(),
            ("roots/list", _) => self.roots,
            _ => false,
        }
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

/// What of a question's parameters decides who may ask it.
#[derive(Default)]
struct Asked {
    mode: Option<String>,
    has_url: bool,
    has_tools: bool,
}

impl Asked {
    fn read(params: &RawJson) -> Result<Self, JsonError> {
        const DECISIVE: &[&str] = &["mode", "url", "tools", "toolChoice", "task", "includeContext"];
        let mut asked = Self::default();
        params.scanner().object(|scan, key| {
            match key.as_ref() {
                "mode" => asked.mode = Some(scan.string()?.into_owned()),
                "url" if scan.string()?.starts_with("https://") => asked.has_url = true,
                "url" => return Err(JsonError::Shape("a URL for a person is https")),
                "task" => return Err(JsonError::Shape("a question is no task")),
                "tools" | "toolChoice" => {
                    asked.has_tools = true;
                    scan.value()?;
                }
                other if !DECISIVE.contains(&other) && keys::is_disguised(other, DECISIVE) => {
                    return Err(JsonError::Shape("a member's name is a variant of a known name"));
                }
                _ => {
                    scan.value()?;
                }
            }
            Ok(())
        })?;
        Ok(asked)
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

    fn covers(caps: ClientCaps, method: &str, params: &'static str, expect: bool) {
        let params = RawJson::parse(Bytes::from_static(params.as_bytes()), 8).unwrap();
        assert_eq!(caps.cover(method, Some(&params)), expect, "{caps:?} {method} {}", params.as_str());
    }

    #[test]
    fn covers_only_the_questions_it_names() {
        let form = ClientCaps { elicitation_form: true, ..ClientCaps::NONE };
        let url = ClientCaps { elicitation_url: true, ..ClientCaps::NONE };
        let sampling = ClientCaps { sampling: true, ..ClientCaps::NONE };
        let tools = ClientCaps { sampling_tools: true, ..sampling };
        let roots = ClientCaps { roots: true, ..ClientCaps::NONE };
        covers(form, "elicitation/create", r#"{"message":"m","requestedSchema":{"url":"x"}}"#, true);
        covers(form, "elicitation/create", r#"{"mode":"form"}"#, true);
        covers(url, "elicitation/create", r#"{"mode":"url","url":"https://a.example/"}"#, true);
        covers(sampling, "sampling/createMessage", r#"{"messages":[]}"#, true);
        covers(tools, "sampling/createMessage", r#"{"tools":[]}"#, true);
        covers(roots, "roots/list", "{}", true);
        assert!(roots.cover("roots/list", None));
        for (caps, method, params) in [
            (url, "elicitation/create", "{}"),
            (form, "elicitation/create", r#"{"mode":"url","url":"https://a.example/"}"#),
            (form, "elicitation/create", r#"{"url":"https://a.example/"}"#),
            (ClientCaps::ALL, "elicitation/create", r#"{"mode":"url","url":"http://a.example/"}"#),
            (ClientCaps::ALL, "elicitation/create", r#"{"mode":"url"}"#),
            (ClientCaps::ALL, "elicitation/create", r#"{"mode":"other"}"#),
            (ClientCaps::ALL, "elicitation/create", r#"{"Mode":"url"}"#),
            (ClientCaps::ALL, "elicitation/create", r#"{"mode":1}"#),
            (ClientCaps::ALL, "elicitation/create", "[]"),
            (sampling, "sampling/createMessage", r#"{"tools":[]}"#),
            (sampling, "sampling/createMessage", r#"{"toolChoice":{}}"#),
            (ClientCaps::ALL, "sampling/createMessage", r#"{"task":{}}"#),
            // What a lenient client reads as a wish for context; the plain name is taken out where the question is written.
            (ClientCaps::ALL, "sampling/createMessage", r#"{"IncludeContext":"allServers"}"#),
            (ClientCaps::ALL, "sampling/createMessage", r#"{"includecontext":"allServers"}"#),
            (ClientCaps::ALL, "sampling/createMessage", r#"{"\u0049ncludeContext":"allServers"}"#),
            (ClientCaps::ALL, "sampling/createMessage", r#"{"include\u0063ontext":"allServers"}"#),
            (ClientCaps::ALL, "sampling/createMessage", r#"{"includeContext\u0000x":"allServers"}"#),
            (ClientCaps::ALL, "sampling/createMessage", r#"{"\u0131ncludeContext":"allServers"}"#),
            (ClientCaps::ALL, "sampling/createMessage", r#"{"include\u200bContext":"allServers"}"#),
            (ClientCaps::ALL, "elicitation/create", r#"{"\u004dode":"url"}"#),
            (form, "roots/list", "{}"),
            (ClientCaps::ALL, "ping", "{}"),
            (ClientCaps::ALL, "tools/call", "{}"),
        ] {
            covers(caps, method, params, false);
        }
        // An escaped letter is the letter.
        covers(sampling, "sampling/createMessage", r#"{"\u0069ncludeContext":"allServers"}"#, true);
        covers(sampling, "sampling/createMessage", r#"{"too\u006cs":[]}"#, false);
        covers(form, "elicitation/create", r#"{"\u006dode":"url","url":"https://a.example/"}"#, false);
        assert!(!ClientCaps::ALL.cover("sampling/createMessage", None));
        assert!(!ClientCaps::ALL.cover("elicitation/create", None));
    }

    #[test]
    fn refuses_capabilities_that_are_no_objects() {
        for json in [r#"{"elicitation":true}"#, r#"{"sampling":1}"#] {
            let raw = RawJson::parse(Bytes::from_static(json.as_bytes()), 8).unwrap();
            assert!(ClientCaps::parse(&raw).is_err(), "{json}");
        }
    }
}
