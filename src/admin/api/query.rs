//! Parameters of a query: those that the table names, in the form it names, and no others.

use crate::admin::problem::Problem;
use crate::admin::routes::{Query, QueryKind};
use crate::vocab::limits::ADMIN_PAGE_ITEMS_MAX;
use crate::web::{PageRequest, Params};

/// Characters of a parameter.
const TEXT_CHARS_MAX: usize = 512;
/// Items of a page where none are asked for.
const LIMIT: usize = 50;

/// Parameters that are as the table says.
pub(in crate::admin) struct Queries(Params);

impl Queries {
    /// Reads the query of `request`.
    ///
    /// # Errors
    /// 400 for an unknown, repeated or malformed parameter.
    pub(in crate::admin) fn read(request: &PageRequest, known: &'static [Query]) -> Result<Self, Problem> {
        let params = Params::of_query(request).map_err(|_| Problem::bad("The query cannot be read."))?;
        for name in params.names() {
            let Some(query) = known.iter().find(|query| query.name == name) else {
                return Err(Problem::bad("The query has a parameter that is not known here."));
            };
            let value = params.get(name).unwrap_or_default();
            let fits = match query.kind {
                QueryKind::Text => value.chars().count() <= TEXT_CHARS_MAX,
                QueryKind::Limit => limit(value).is_some(),
                QueryKind::Word(words) => words.contains(&value),
            };
            if !fits {
                return Err(Problem::bad("A parameter of the query is not in its range."));
            }
        }
        Ok(Self(params))
    }

    pub(in crate::admin) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    pub(in crate::admin) fn limit(&self) -> usize {
        self.0.get("limit").and_then(limit).unwrap_or(LIMIT)
    }
}

fn limit(text: &str) -> Option<usize> {
    let plain = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|limit| plain && (1..=ADMIN_PAGE_ITEMS_MAX).contains(limit))
}

/// The longest text of a parameter, for the document.
pub(super) const fn text_chars_max() -> usize {
    TEXT_CHARS_MAX
}
