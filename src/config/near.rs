//! The known word an unknown one was probably meant to be.

/// Longest word compared; anything longer is not a slip of the pen.
const WORD_CHARS_MAX: usize = 40;
/// Edits at which two words still count as the same slip.
const EDITS_MAX: usize = 2;

/// The nearest of `known` at most two edits away from `word`.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().nth(WORD_CHARS_MAX).is_some() {
        return None;
    }
    known
        .map(|candidate| (edits(word, candidate), candidate))
        // Two edits turn any two-letter word into any other: a hint must keep something of the word.
        .filter(|(edits, candidate)| *edits <= EDITS_MAX && *edits < candidate.chars().count())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, by characters.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = i + 1;
        next.push(left);
        for (y, pair) in b.chars().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["listen", "limits", "routes", "url"];
        for (word, expected) in [
            ("lisen", Some("listen")),
            ("listne", Some("listen")),
            ("limit", Some("limits")),
            ("uri", Some("url")),
            ("zz", None),
            ("upstreams", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
        }
    }
}
