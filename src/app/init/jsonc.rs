//! JSON as editors write it: with comments and trailing commas, which are taken out.

/// The text with comments and trailing commas replaced by spaces; what stands in strings is left alone.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    // Where the last comma stands in `out`, while nothing but space came after it.
    let mut comma = None;
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('"', _) => {
                out.push(c);
                while let Some(c) = chars.next() {
                    out.push(c);
                    match c {
                        '\\' => out.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                comma = None;
            }
            ('/', Some('/')) => while chars.next_if(|c| *c != '\n').is_some() {},
            ('/', Some('*')) => {
                chars.next();
                let mut before = ' ';
                for c in chars.by_ref() {
                    if (before, c) == ('*', '/') {
                        break;
                    }
                    before = c;
                }
                out.push(' ');
            }
            (',', _) => {
                comma = Some(out.len());
                out.push(c);
            }
            ('}' | ']', _) => {
                if let Some(at) = comma.take() {
                    out.replace_range(at..=at, " ");
                }
                out.push(c);
            }
            (c, _) => {
                if !c.is_whitespace() {
                    comma = None;
                }
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_commas_go_and_strings_stay() {
        for (text, expected) in [
            ("{\"a\": 1, // one\n }", "{\"a\":1}"),
            ("[1, /* , */ 2, /* x */ ]", "[1,2]"),
            (r#"{"u": "http://x//y, /* no */", "q": "\",}"}"#, r#"{"q":"\",}","u":"http://x//y, /* no */"}"#),
            ("[\"a,\" , ]", "[\"a,\"]"),
        ] {
            let read: serde_json::Value = serde_json::from_str(&plain(text)).unwrap();
            assert_eq!(read.to_string(), expected, "{text}");
        }
        for broken in ["[1,,]", "[,]x", "/*"] {
            assert!(serde_json::from_str::<serde_json::Value>(&plain(broken)).is_err(), "{broken}");
        }
    }
}
