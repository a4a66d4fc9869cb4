//! Secrets of every kind, each with something random inside that nothing else has.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::keys::b64;

/// A kind, and what one looks like. `{A24}` stands for 24 random letters and digits, `{U16}` for upper-case ones, `{h32}` for hexadecimal
/// digits, `{d10}` for digits, `{B24}` for base64 of `app:` and 24 random ones; `{C}` is a card number.
const KINDS: &[(&str, &str)] = &[
    ("github-classic", "ghp_{A36}"),
    ("github-oauth", "gho_{A36}"),
    ("github-fine-grained", "github_pat_{A22}_{A59}"),
    ("gitlab", "glpat-{A20}"),
    ("aws-key-id", "AKIA{U16}"),
    ("aws-secret-key", "aws_secret_access_key={A40}"),
    ("aws-presigned", "https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature={h64}"),
    ("slack-bot", "xoxb-{d12}-{A24}"),
    ("slack-app", "xapp-1-A{U10}-{d13}-{h64}"),
    ("slack-webhook", "https://hooks.slack.com/services/T{U8}/B{U10}/{A24}"),
    ("stripe", "sk_live_{A24}"),
    ("google-api-key", "AIza{A35}"),
    ("google-oauth", "ya29.{A60}"),
    ("google-client-secret", "GOCSPX-{A28}"),
    ("npm", "npm_{A36}"),
    ("pypi", "pypi-AgEIcHlwaS5vcmc{A60}"),
    ("sendgrid", "SG.{A22}.{A43}"),
    ("twilio", "SK{h32}"),
    ("telegram", "{d10}:AA{A33}"),
    ("openai", "sk-proj-{A48}"),
    ("anthropic", "sk-ant-api03-{A93}"),
    ("huggingface", "hf_{A34}"),
    ("databricks", "dapi{h32}"),
    ("digitalocean", "dop_v1_{h64}"),
    ("vault", "hvs.{A90}"),
    ("azure-connection", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={A86}==;EndpointSuffix=core.windows.net"),
    ("azure-sas", "https://a.blob.core.windows.net/c?sv=2026-01-01&se=2027-01-01&sig={A43}%3D"),
    ("postgres", "postgres://app:{A20}@db.example:5432/x"),
    ("mongodb", "mongodb+srv://app:{A20}@cluster.example/x"),
    ("redis", "redis://:{A20}@cache.example:6379"),
    ("userinfo", "https://{A30}@git.example/r.git"),
    ("rsa-key", "-----BEGIN RSA PRIVATE KEY-----\n{A64}\n{A64}\n-----END RSA PRIVATE KEY-----"),
    ("ec-key", "-----BEGIN EC PRIVATE KEY-----\n{A64}\n{A64}\n-----END EC PRIVATE KEY-----"),
    ("openssh-key", "-----BEGIN OPENSSH PRIVATE KEY-----\n{A70}\n{A70}\n-----END OPENSSH PRIVATE KEY-----"),
    ("pkcs8-key", "-----BEGIN PRIVATE KEY-----\n{A64}\n{A64}\n-----END PRIVATE KEY-----"),
    ("pgp-key", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{A64}\n{A64}\n-----END PGP PRIVATE KEY BLOCK-----"),
    ("age-key", "AGE-SECRET-KEY-1{U58}"),
    ("jwt", "eyJhbGciOiJFZERTQSJ9.eyJ{A60}.{A86}"),
    ("dpop-proof", "eyJ0eXAiOiJkcG9wK2p3dCJ9.eyJ{A60}.{A86}"),
    ("basic", "Authorization: Basic {B24}"),
    ("bearer", "Authorization: Bearer {A43}"),
    ("cookie", "Cookie: sid={A43}; theme=dark"),
    ("password", "password={A20}"),
    ("kubeconfig", "users:\n- name: admin\n  user:\n    token: {A43}"),
    ("docker-auth", r#"{"auths":{"r.example":{"auth":"{B24}"}}}"#),
    ("card", "{C}"),
    ("portcullis-key", "pck_k7Qm2-ci_{A43}"),
    ("refresh-token", "refresh_token={A43}"),
    ("client-secret", "client_secret={A43}"),
    ("oauth-code", "https://app.example/cb?code={A43}&state=x"),
    ("pkce-verifier", "code_verifier={A43}"),
    ("console-session", "Cookie: portcullis-console={A43}"),
];

/// How many kinds there are.
pub(super) const COUNT: usize = KINDS.len();

/// One secret, and what of it is random.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) kind: &'static str,
    pub(super) text: String,
    pub(super) pieces: Vec<String>,
}

/// One of every kind, none of them seen before.
pub(super) fn all() -> Vec<Secret> {
    KINDS.iter().map(|(kind, shape)| mint(kind, shape)).collect()
}

/// Another one of the same kind.
pub(super) fn again(secret: &Secret) -> Secret {
    let found = KINDS.iter().find(|(kind, _)| *kind == secret.kind);
    found.map_or_else(|| secret.clone(), |(kind, shape)| mint(kind, shape))
}

/// A token without any shape of its own.
pub(super) fn shapeless() -> Secret {
    mint("shapeless", "{A43}")
}

fn mint(kind: &'static str, shape: &str) -> Secret {
    let (mut text, mut pieces, mut rest) = (String::new(), Vec::new(), shape);
    while let Some((plain, after)) = rest.split_once('{') {
        text.push_str(plain);
        let filled = after.split_once('}').and_then(|(spec, tail)| Some((fill(spec)?, tail)));
        let Some(((shown, piece), tail)) = filled else {
            text.push('{');
            rest = after;
            continue;
        };
        text.push_str(&shown);
        pieces.extend([shown, piece]);
        rest = tail;
    }
    text.push_str(rest);
    // A short one is no proof of anything.
    pieces.retain(|piece| piece.len() >= PIECE_BYTES_MIN);
    pieces.dedup();
    assert!(!pieces.is_empty(), "{kind}");
    Secret { kind, text, pieces }
}

fn fill(spec: &str) -> Option<(String, String)> {
    let count = || spec.get(1..)?.parse::<usize>().ok();
    let text = match spec.chars().next()? {
        'A' => drawn(count()?, &[UPPER, LOWER, DIGITS]),
        'U' => drawn(count()?, &[UPPER, DIGITS]),
        'h' => drawn(count()?, &["abcdef", DIGITS]),
        'd' => drawn(count()?, &["123456789"]),
        'B' => {
            let word = drawn(count()?, &[UPPER, LOWER, DIGITS]);
            return Some((STANDARD.encode(format!("app:{word}")), word));
        }
        'C' => card(),
        _ => return None,
    };
    Some((text.clone(), text))
}

/// Characters of these alphabets in turn, so that none lacks a digit by chance.
fn drawn(count: usize, alphabets: &[&str]) -> String {
    let mut bytes = vec![0; count];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    let one = |(at, byte): (usize, &u8)| {
        let alphabet = alphabets[at % alphabets.len()].as_bytes();
        char::from(alphabet[usize::from(*byte) % alphabet.len()])
    };
    bytes.iter().enumerate().map(one).collect()
}

fn card() -> String {
    let body = format!("4{}", drawn(14, &[DIGITS]));
    let double = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let digits = body.chars().rev().filter_map(|c| c.to_digit(10)).enumerate();
    let sum: u32 = digits.map(|(at, digit)| if at % 2 == 0 { double(digit) } else { digit }).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

impl Secret {
    /// What is looked for: both ends of what is random, as they are and as an encoding would have made them.
    pub(super) fn needles(&self) -> Vec<Vec<u8>> {
        let ends = |piece: &String| {
            let length = piece.len().min(NEEDLE_BYTES);
            [piece[..length].to_owned(), piece[piece.len() - length..].to_owned()]
        };
        let mut needles: Vec<String> = Vec::new();
        for end in self.pieces.iter().flat_map(ends) {
            let each = |of: fn(u8) -> String| end.bytes().map(of).collect::<String>();
            needles.push(each(|b| format!("%{b:02X}")));
            needles.push(each(|b| format!("%{b:02x}")));
            needles.push(each(|b| format!("\\u{b:04x}")));
            needles.push(each(|b| format!("{b:02x}")));
            // Wherever it begins among groups of three, most of its base64 is the same.
            for (before, skip) in [("", 0), ("x", 2), ("xx", 3)] {
                let whole = b64(format!("{before}{end}"));
                let standard = STANDARD.encode(format!("{before}{end}"));
                let inside = |text: &str| text[skip..(before.len() + end.len()) / 3 * 4].to_owned();
                needles.extend([inside(&whole), inside(&standard)]);
            }
            needles.push(end);
        }
        needles.sort();
        needles.dedup();
        needles.into_iter().map(String::into_bytes).collect()
    }
}

/// Shorter ones are numbers of accounts and bots.
const PIECE_BYTES_MIN: usize = 11;
const NEEDLE_BYTES: usize = 14;
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const DIGITS: &str = "0123456789";

#[test]
fn a_secret_is_found_in_any_coding() {
    use super::search::Search;
    for secret in all() {
        let mut search = Search::default();
        search.plant("here", &secret);
        let piece = &secret.pieces[0];
        let wrapped = format!("{{\"x\":\"{piece}\"}}");
        for text in [
            secret.text.clone(),
            format!("ab{piece}"),
            STANDARD.encode(format!("a{wrapped}")),
            STANDARD.encode(format!("ab{wrapped}")),
            URL_SAFE_NO_PAD.encode(format!("abc{wrapped}")),
            wrapped.bytes().map(|b| format!("{b:02x}")).collect(),
            piece.bytes().map(|b| format!("%{b:02X}")).collect(),
            piece.bytes().map(|b| format!("\\u{b:04x}")).collect(),
        ] {
            assert_eq!(search.look("there", text.as_bytes()).len(), 1, "{}: {text}", secret.kind);
        }
        assert!(search.look("there", format!("{}{}", &piece[..7], &piece[8..13.min(piece.len())]).as_bytes()).is_empty());
    }
}
