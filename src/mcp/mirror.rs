//! Tool arguments mirrored into `Mcp-Param-*` headers, as the tool's schema asks with `x-mcp-header` (2026-07-28).

use http::{HeaderName, HeaderValue};

use super::error::ProtocolError;
use super::headers::{McpHeaders, PARAM_PREFIX, decode_value, encode_value};
use super::json::{JsonError, Kind, Scanner, unquote};
use super::raw::RawJson;
use crate::vocab::limits::MIRRORED_PARAMS_MAX;

const ANNOTATION: &str = "x-mcp-header";
/// Integers up to here are exact in every JSON implementation.
const INTEGER_MAX: i64 = (1 << 53) - 1;

/// One argument that a header mirrors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// What follows `Mcp-Param-`, in lower case.
    pub header_suffix: String,
    /// The property names that lead to the argument.
    pub path: Vec<String>,
    /// Its type.
    pub kind: MirrorKind,
}

/// The types that can be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the JSON Schema type of that name")]
pub enum MirrorKind {
    String,
    Integer,
    Boolean,
}

/// A schema whose annotations break the rules. Every conforming client drops such a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid x-mcp-header: {0}")]
pub struct Invalid(pub &'static str);

/// The annotations of an input schema.
///
/// # Errors
/// [`Invalid`] when a header name is no token or not unique (without case), when the annotated type is not string, integer
/// or boolean, or when the annotation stands anywhere but on a chain of `properties`.
pub fn annotations(input_schema: &RawJson) -> Result<Vec<Mirror>, Invalid> {
    let may_annotate = memchr::memmem::find(input_schema.as_bytes(), b"x-mcp-header").is_some()
        || memchr::memmem::find(input_schema.as_bytes(), b"\\u").is_some();
    if !may_annotate {
        return Ok(Vec::new());
    }
    let mut walk = Walk { found: Vec::new(), path: Vec::new(), invalid: None };
    let read = walk.schema(&mut input_schema.scanner(), true);
    match (walk.invalid, read) {
        (Some(why), _) => Err(why),
        (None, Err(_)) => Err(Invalid("the schema cannot be read")),
        (None, Ok(())) => Ok(walk.found),
    }
}

/// Demands that every mirrored argument has its header, saying the same, and that no header mirrors an absent one. Headers
/// the schema does not name are nobody's business here.
///
/// # Errors
/// 400, -32020.
pub fn check(mirrors: &[Mirror], headers: &McpHeaders<'_>, arguments: Option<&RawJson>) -> Result<(), ProtocolError> {
    for mirror in mirrors {
        let value = arguments.and_then(|a| at(a, &mirror.path));
        match (value, headers.param(&mirror.header_suffix)) {
            (None, None) => {}
            (None, Some(_)) => return Err(ProtocolError::header_mismatch("An Mcp-Param header has no argument in the body")),
            (Some(_), None) => return Err(ProtocolError::header_mismatch("A required Mcp-Param header is missing")),
            (Some(value), Some(sent)) => {
                let sent = decode_value(sent);
                let sent = sent.map_err(|_| ProtocolError::header_mismatch("An Mcp-Param header cannot be decoded"))?;
                if !same(&value, &sent) {
                    return Err(ProtocolError::header_mismatch("An Mcp-Param header does not match the body"));
                }
            }
        }
    }
    Ok(())
}

/// The headers for a request upstream. Arguments that no header can carry are left to the upstream's own refusal.
pub fn values(mirrors: &[Mirror], arguments: Option<&RawJson>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for mirror in mirrors {
        let Some(value) = arguments.and_then(|a| at(a, &mirror.path)) else { continue };
        let name = HeaderName::try_from(format!("{PARAM_PREFIX}{}", mirror.header_suffix));
        if let (Ok(name), Some(text)) = (name, text_of(&value)) {
            let mut value = encode_value(&text);
            // An argument: kept out of debug output and compression tables.
            value.set_sensitive(true);
            headers.push((name, value));
        }
    }
    headers
}

/// The value at a chain of property names; null counts as absent.
fn at(arguments: &RawJson, path: &[String]) -> Option<RawJson> {
    let mut value = arguments.clone();
    for name in path {
        if value.kind()? != Kind::Object {
            return None;
        }
        let mut found = None;
        let read = value.scanner().object(|scan, key| {
            let span = scan.value()?;
            if key == name {
                found = Some(value.part(span));
            }
            Ok(())
        });
        value = read.ok().and(found)?;
    }
    (value.kind()? != Kind::Null).then_some(value)
}

/// What the header says for a value: strings as they are, integers in decimal, booleans in lower case.
fn text_of(value: &RawJson) -> Option<String> {
    match value.kind()? {
        Kind::String => unquote(value.as_str()).ok().map(std::borrow::Cow::into_owned),
        Kind::Number => integer(value.as_str()).map(|n| n.to_string()),
        Kind::Bool => Some(value.as_str().to_owned()),
        Kind::Object | Kind::Array | Kind::Null => None,
    }
}

fn same(value: &RawJson, sent: &str) -> bool {
    match value.kind() {
        Some(Kind::String) => unquote(value.as_str()).is_ok_and(|v| v == sent),
        Some(Kind::Number) => integer(value.as_str()).is_some_and(|n| integer(sent) == Some(n)),
        Some(Kind::Bool) => value.as_str() == sent,
        _ => false,
    }
}

/// The integer a JSON number token means, exactly: `42`, `42.0`, `4.2e1`. Beyond ±(2^53 − 1) there is none.
fn integer(token: &str) -> Option<i64> {
    let (negative, rest) = token.strip_prefix('-').map_or((false, token), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let exponent: i32 = exponent.parse().ok()?;
    if !digits(whole) || !digits(fraction) || exponent.unsigned_abs() > 400 || token.len() > 64 {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let significant = [whole, fraction].concat();
    let shift = exponent - i32::try_from(fraction.len()).ok()?;
    let mut value: i64 = 0;
    for digit in significant.bytes() {
        value = value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
    }
    for _ in 0..shift.unsigned_abs() {
        if value == 0 {
            break;
        }
        value = if shift > 0 { value.checked_mul(10)? } else { (value % 10 == 0).then_some(value / 10)? };
    }
    (value <= INTEGER_MAX).then_some(if negative { -value } else { value })
}

struct Walk {
    found: Vec<Mirror>,
    path: Vec<String>,
    invalid: Option<Invalid>,
}

impl Walk {
    /// Walks one schema. `reachable`: only `properties` led here.
    fn schema(&mut self, scan: &mut Scanner<'_>, reachable: bool) -> Result<(), JsonError> {
        match scan.peek()? {
            Kind::Object => {}
            Kind::Array => return scan.array(|scan| self.schema(scan, false)).map(|_| ()),
            _ => return scan.value().map(|_| ()),
        }
        let (mut header, mut kind) = (None, None);
        scan.object(|scan, key| match (key.as_ref(), scan.peek()?) {
            (ANNOTATION, Kind::String) => scan.string().map(|name| header = Some(name.into_owned())),
            (ANNOTATION, _) => self.refuse(scan, "the header's name is no string"),
            ("type", _) => scan.value().map(|value| kind = kind_of(value)),
            ("properties", Kind::Object) => self.schemas(scan, reachable),
            ("patternProperties" | "$defs" | "definitions" | "dependentSchemas", Kind::Object) => self.schemas(scan, false),
            // Data, not schemas.
            ("default" | "const" | "enum" | "examples" | "required", _) => scan.value().map(|_| ()),
            _ => self.schema(scan, false),
        })?;
        if let Some(name) = header {
            self.annotate(&name, kind, reachable);
        }
        Ok(())
    }

    fn schemas(&mut self, scan: &mut Scanner<'_>, reachable: bool) -> Result<(), JsonError> {
        scan.object(|scan, name| {
            self.path.push(name.to_string());
            let read = self.schema(scan, reachable);
            self.path.pop();
            read
        })
        .map(|_| ())
    }

    fn annotate(&mut self, name: &str, kind: Option<MirrorKind>, reachable: bool) {
        let suffix = name.to_ascii_lowercase();
        let why = if !reachable || self.path.is_empty() {
            "it stands where no chain of properties leads"
        } else if name.is_empty() || !name.bytes().all(is_tchar) {
            "the header's name is no token"
        } else if self.found.iter().any(|m| m.header_suffix == suffix) {
            "two arguments have the same header"
        } else if self.found.len() == MIRRORED_PARAMS_MAX {
            "there are too many"
        } else if let Some(kind) = kind {
            self.found.push(Mirror { header_suffix: suffix, path: self.path.clone(), kind });
            return;
        } else {
            "the type is not string, integer or boolean"
        };
        self.invalid.get_or_insert(Invalid(why));
    }

    fn refuse(&mut self, scan: &mut Scanner<'_>, why: &'static str) -> Result<(), JsonError> {
        self.invalid.get_or_insert(Invalid(why));
        scan.value().map(|_| ())
    }
}

fn kind_of(type_token: &str) -> Option<MirrorKind> {
    match unquote(type_token).ok()?.as_ref() {
        "string" => Some(MirrorKind::String),
        "integer" => Some(MirrorKind::Integer),
        "boolean" => Some(MirrorKind::Boolean),
        _ => None,
    }
}

/// RFC 9110, 5.6.2.
fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests;
