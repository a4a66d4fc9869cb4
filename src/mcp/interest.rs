//! What somebody wants to hear of a server outside of calls: the filter of `subscriptions/listen` (2026-07-28, subscriptions).

use super::json::{JsonError, Kind, Scanner};
use super::raw::RawJson;
use super::reply::Listing;
use super::write::{array_of_texts, object};

/// A set of the lists that can change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each member is the list of that name")]
pub struct ListSet {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
}

impl ListSet {
    /// No list.
    pub const NONE: Self = Self { tools: false, prompts: false, resources: false };
    /// Every list.
    pub const ALL: Self = Self { tools: true, prompts: true, resources: true };

    /// Whether `listing` is in the set.
    pub fn has(self, listing: Listing) -> bool {
        match listing {
            Listing::Tools => self.tools,
            Listing::Prompts => self.prompts,
            Listing::Resources => self.resources,
        }
    }

    /// What both sets have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            tools: self.tools && other.tools,
            prompts: self.prompts && other.prompts,
            resources: self.resources && other.resources,
        }
    }

    /// What either set has.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            tools: self.tools || other.tools,
            prompts: self.prompts || other.prompts,
            resources: self.resources || other.resources,
        }
    }

    /// True for the empty set.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }
}

/// Lists, resources and tasks of which changes are of interest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Lists.
    pub lists: ListSet,
    /// URIs of resources.
    pub uris: Vec<String>,
    /// Ids of tasks (the tasks extension).
    pub tasks: Vec<String>,
}

impl Interest {
    /// Reads the `notifications` object of a request or an acknowledgement. Members no revision defines are left alone, a flag
    /// that is not `true` is false, and of the URIs and of the tasks at most `each_max` are kept.
    ///
    /// # Errors
    /// [`JsonError`] if it is not such an object.
    pub fn parse(raw: &RawJson, each_max: usize) -> Result<Self, JsonError> {
        let mut read = Self::default();
        if raw.kind() != Some(Kind::Object) {
            return Err(JsonError::Shape("a filter is an object"));
        }
        raw.scanner().object(|scan, key| {
            match key.as_ref() {
                "toolsListChanged" => read.lists.tools = scan.value()? == "true",
                "promptsListChanged" => read.lists.prompts = scan.value()? == "true",
                "resourcesListChanged" => read.lists.resources = scan.value()? == "true",
                "resourceSubscriptions" => texts(scan, &mut read.uris, each_max)?,
                "taskIds" => texts(scan, &mut read.tasks, each_max)?,
                _ => {
                    scan.value()?;
                }
            }
            Ok(())
        })?;
        Ok(read)
    }

    /// The `notifications` object that says this.
    pub fn to_json(&self) -> RawJson {
        object(|out| {
            for (key, wanted) in [
                ("toolsListChanged", self.lists.tools),
                ("promptsListChanged", self.lists.prompts),
                ("resourcesListChanged", self.lists.resources),
            ] {
                if wanted {
                    out.raw(key, b"true");
                }
            }
            if !self.uris.is_empty() {
                out.raw("resourceSubscriptions", &array_of_texts(&self.uris));
            }
            if !self.tasks.is_empty() {
                out.raw("taskIds", &array_of_texts(&self.tasks));
            }
        })
    }

    /// True when a change of `uri` is of interest: it is a URI of the set, or lies below one (2026-07-28, resources: the URI of
    /// an update may be a sub-resource of the subscribed one).
    pub fn covers(&self, uri: &str) -> bool {
        let below = |rest: &str| rest.starts_with(['/', '?', '#']);
        self.uris.iter().any(|wanted| {
            uri.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || wanted.ends_with('/') || below(rest))
        })
    }

    /// True when nothing is of interest.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.uris.is_empty() && self.tasks.is_empty()
    }
}

/// Reads an array of strings, of which it keeps so many.
fn texts(scan: &mut Scanner<'_>, kept: &mut Vec<String>, most: usize) -> Result<(), JsonError> {
    if scan.peek()? != Kind::Array {
        return Err(JsonError::Shape("what is to be named one by one is not an array"));
    }
    scan.array(|scan| {
        if scan.peek()? != Kind::String {
            return Err(JsonError::Shape("a name is not a string"));
        }
        let text = scan.string()?;
        if kept.len() < most {
            kept.push(text.into_owned());
        }
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(text: &str, uris_max: usize) -> Result<Interest, JsonError> {
        Interest::parse(&RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 8).unwrap(), uris_max)
    }

    #[test]
    fn what_is_written_is_read() {
        for (text, kept) in [
            ("{}", "{}"),
            (r#"{"toolsListChanged":true,"promptsListChanged":false,"x":[1]}"#, r#"{"toolsListChanged":true}"#),
            (
                r#"{"resourcesListChanged":true,"resourceSubscriptions":["a:\"b","c:d","e:f"],"promptsListChanged":1}"#,
                r#"{"resourcesListChanged":true,"resourceSubscriptions":["a:\"b","c:d"]}"#,
            ),
            (r#"{"taskIds":["1","2","3"],"TaskIds":["4"]}"#, r#"{"taskIds":["1","2"]}"#),
        ] {
            let interest = read(text, 2).unwrap();
            assert_eq!(interest.to_json().as_str(), kept);
            assert_eq!(read(kept, 2).unwrap(), interest);
            assert_eq!(interest.is_empty(), kept == "{}");
        }
        for text in ["[]", "1", r#"{"resourceSubscriptions":"a:b"}"#, r#"{"resourceSubscriptions":[1]}"#, r#"{"taskIds":{}}"#] {
            assert!(read(text, 2).is_err(), "{text}");
        }
    }

    #[test]
    fn covers_what_lies_below_and_nothing_beside() {
        let interest = Interest { uris: vec!["file:///a".to_owned(), "x:y/".to_owned()], ..Interest::default() };
        for (uri, covered) in [
            ("file:///a", true),
            ("file:///a/b", true),
            ("file:///a?q", true),
            ("file:///a#f", true),
            ("x:y/z", true),
            ("file:///ab", false),
            ("file:///", false),
            ("x:y", false),
            ("", false),
        ] {
            assert_eq!(interest.covers(uri), covered, "{uri}");
        }
        assert!(ListSet::ALL.has(Listing::Prompts) && !ListSet::NONE.has(Listing::Prompts));
        let tools = ListSet { tools: true, ..ListSet::NONE };
        assert_eq!((tools.and(ListSet::ALL), tools.or(ListSet::NONE)), (tools, tools));
    }
}
