//! What in a client's file could be a secret. In doubt it is one: it then stays out of the config and has to be exported.

use url::Url;

/// Parts of names that go with secrets.
const WORDS: &[&str] = &[
    "token",
    "key",
    "secret",
    "pass",
    "pwd",
    "auth",
    "cred",
    "private",
    "session",
    "cookie",
    "cert",
    "dsn",
    "pat",
    "pin",
    "signature",
    "bearer",
    "jwt",
    "otp",
];
/// Variables that hold none.
const PLAIN_VARIABLES: &[&str] =
    &["LANG", "TZ", "NODE_ENV", "LOG_LEVEL", "DEBUG", "PORT", "HOST", "NO_COLOR", "PYTHONUNBUFFERED", "TERM"];
/// What tokens of well-known issuers begin with.
const PREFIXES: &[&str] = &[
    "sk-",
    "pk-",
    "rk_",
    "sk_",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xox",
    "xapp-",
    "AKIA",
    "ASIA",
    "eyJ",
    "pck_",
    "ya29.",
    "AIza",
    "npm_",
    "pypi-",
    "hf_",
    "lin_api_",
    "ntn_",
    "secret_",
    "figd_",
    "dop_v1_",
    "shpat_",
    "SG.",
    "Bearer ",
    "Basic ",
];
/// From this length on a word without structure counts as a token.
const TOKEN_CHARS_MIN: usize = 20;

/// Whether what goes by this name is most likely secret.
pub(super) fn is_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // "pat" and "pin" are parts of too many other words.
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    WORDS.iter().any(|word| if word.len() == 3 { words().any(|own| own == *word) } else { name.contains(word) })
}

/// Whether the value of this flag of a program is most likely secret.
pub(super) fn is_flag(flag: &str) -> bool {
    flag.starts_with('-') && (matches!(flag, "-p" | "-u" | "--user" | "--userpwd" | "--proxy-user") || is_name(flag))
}

/// Whether a text beside a variable is merely what goes before or between secrets: one word and a space, or marks.
pub(super) fn is_scheme(text: &str) -> bool {
    let word = |text: &str| text.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
    text.strip_suffix(' ').is_some_and(word) || !text.contains(char::is_alphanumeric)
}

/// Whether an environment variable of a server may stand in the config.
pub(super) fn is_plain_variable(name: &str, value: &str) -> bool {
    if value.is_empty() || PLAIN_VARIABLES.contains(&name) || name.starts_with("LC_") {
        return !is_value(value);
    }
    let short = matches!(value, "true" | "false" | "yes" | "no" | "on" | "off")
        || (value.len() <= 6 && value.bytes().all(|b| b.is_ascii_digit()));
    let place = value.starts_with('/') || is_plain_url(value);
    !is_name(name) && (short || place) && !is_value(value)
}

/// Whether a text looks like a secret, whatever it is called.
pub(super) fn is_value(value: &str) -> bool {
    if is_issued(value) {
        return true;
    }
    if let Ok(url) = Url::parse(value)
        && url.has_host()
    {
        return url.password().is_some() || is_secret_url(&url);
    }
    value.split(['/', ' ', ',', ';', ':', '@', '?', '&', '#']).any(is_token)
}

/// Whether a URL carries something behind its host that looks like a secret: any query, or a word without structure in its path.
pub(super) fn is_secret_url(url: &Url) -> bool {
    url.query().is_some()
        || url.path_segments().is_some_and(|mut segments| segments.any(|segment| is_token(segment) || is_issued(segment)))
}

/// Whether a text begins as tokens of a well-known issuer do.
fn is_issued(text: &str) -> bool {
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

fn is_plain_url(value: &str) -> bool {
    Url::parse(value)
        .is_ok_and(|url| url.has_host() && url.username().is_empty() && url.password().is_none() && !is_secret_url(&url))
}

/// Long, of letters and digits mixed, without the structure of names.
fn is_token(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '=' | '.');
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let letters = word.chars().filter(char::is_ascii_alphabetic).count();
    let longest = word.split(['-', '.', '_']).map(str::len).max().unwrap_or_default();
    word.len() >= TOKEN_CHARS_MIN && word.chars().all(plain) && digits >= 3 && letters >= 3 && longest >= 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        for (name, value, plain) in [
            ("LANG", "C", true),
            ("NODE_ENV", "production", true),
            ("ROOT", "/srv/public", true),
            ("BASE_URL", "https://api.example.com/v1", true),
            ("RETRIES", "3", true),
            ("READ_ONLY", "true", true),
            ("EMPTY", "", true),
            ("GITHUB_TOKEN", "x", false),
            ("PIN", "1234", false),
            ("OPENAI_API_KEY", "sk-abc", false),
            ("WHATEVER", "hunter2", false),
            ("DATABASE_URL", "postgres://u:p@db/x", false),
            ("HOOK", "https://hooks.example.com/T0123/abcdef0123456789abcdef", false),
            ("HOOK", "https://hooks.example.com/?k=1", false),
            ("DEBUG", "ghp_0123456789", false),
            ("DIR", "/home/x/8f14e45fceea167a5a36dedd4bea2543", false),
        ] {
            assert_eq!(is_plain_variable(name, value), plain, "{name}={value}");
        }
    }

    #[test]
    fn values() {
        for (value, secret) in [
            ("-y", false),
            ("@modelcontextprotocol/server-filesystem@2026.1.14", false),
            ("ghcr.io/github/github-mcp-server", false),
            ("mcp-server-with-a-very-long-name-indeed", false),
            ("/srv/public", false),
            ("https://mcp.example.com/mcp", false),
            ("postgresql://me:pw@localhost/db", true),
            ("postgresql://localhost/db", false),
            ("github_pat_11AAAA", true),
            ("d41d8cd98f00b204e9800998ecf8427e", true),
            ("https://mcp.example.com/s/NjQ4YzY2MDUtMzk1/mcp?x=1", true),
            ("Authorization: Bearer d41d8cd98f00b204e9800998", true),
        ] {
            assert_eq!(is_value(value), secret, "{value}");
        }
    }
}
