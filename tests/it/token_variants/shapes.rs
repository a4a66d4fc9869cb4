//! What a token says of itself, and how it is written, changed.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde_json::{Value, json};

use super::Good;
use crate::keys::{ED, STRANGER, b64, changed};

pub(super) fn changed_headers(good: &Good<'_>, alg: &str) -> Vec<(String, String)> {
    let mut all: Vec<(&str, Value)> = Vec::new();
    for other in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES256K",
        "ES384", "ES512", "EdDSA", "eddsa", "Ed448", "A256GCM", "dir", "RSA-OAEP",
    ] {
        if other != alg {
            all.push(("alg", json!(other)));
        }
    }
    all.extend([json!(null), json!(7), json!([alg]), json!({"alg": alg}), json!(format!("{alg} "))].map(|alg| ("alg", alg)));
    all.extend(
        [
            json!("id+jwt"),
            json!("dpop+jwt"),
            json!("logout+jwt"),
            json!("secevent+jwt"),
            json!("JWE"),
            json!(""),
            json!(7),
            json!(["JWT"]),
            json!("at+jwt "),
        ]
        .map(|typ| ("typ", typ)),
    );
    for kid in [
        "rsa",
        "ec",
        "ed",
        "ED",
        "ed ",
        "../../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "ed\u{0}",
        "http://evil.example/k",
        "|id",
        "*",
    ] {
        if good.header["kid"] != kid {
            all.push(("kid", json!(kid)));
        }
    }
    all.extend([json!(7), json!([]), json!(""), json!({"k": "ed"}), json!("k".repeat(300))].map(|kid| ("kid", kid)));
    for (name, value) in [
        ("jwk", STRANGER.jwk("ed")),
        ("jwk", ED.jwk("ed")),
        ("jku", json!("https://evil.example/jwks")),
        ("jku", json!("file:jwks.json")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
        ("x5c", json!([])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!("exp")),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
    ] {
        all.push((name, value));
    }
    all.into_iter().map(|(name, value)| (format!("{alg} {name}={value}"), good.head(name, value))).collect()
}

/// The same token, written otherwise or cut up.
pub(super) fn encodings(good: &Good<'_>) -> Vec<(String, String)> {
    let token = good.token();
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts[..] else { unreachable!() };
    let (head_text, body_text) = (good.header.to_string(), good.claims.to_string());
    let signed = |header: &[u8], claims: &[u8]| {
        let signed = format!("{}.{}", b64(header), b64(claims));
        format!("{signed}.{}", b64(good.signer.sign(signed.as_bytes())))
    };
    let signed_as_is = |signed: String| format!("{signed}.{}", b64(good.signer.sign(signed.as_bytes())));
    let twice = |text: &str, more: &str| text.replacen('{', &format!("{{{more},"), 1);
    // A character past the last whole byte changes nothing that a lenient decoder would see.
    let loose = |part: &str| {
        let (rest, last) = part.split_at(part.len() - 1);
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.iter().position(|c| *c == last.as_bytes()[0]).unwrap();
        format!("{rest}{}", char::from(alphabet[at ^ 1]))
    };
    let raw = good.signer.sign(format!("{head}.{body}").as_bytes());
    let mut rows: Vec<(&str, String)> = vec![
        ("padded header", signed_as_is(format!("{head}=.{body}"))),
        ("padded claims", signed_as_is(format!("{head}.{body}="))),
        ("padded signature", format!("{token}=")),
        ("doubly padded signature", format!("{token}==")),
        ("standard alphabet, padded", format!("{head}.{body}.{}", STANDARD.encode([0xfb, 0xff].repeat(32)))),
        ("url-safe padded signature", format!("{head}.{body}.{}", URL_SAFE.encode(&raw))),
        ("hex signature", format!("{head}.{body}.{}", raw.iter().map(|b| format!("{b:02x}")).collect::<String>())),
        ("loose last character of the signature", format!("{head}.{body}.{}", loose(signature))),
        ("no signature", format!("{head}.{body}.")),
        ("two parts", format!("{head}.{body}")),
        ("one part", head.to_owned()),
        ("four parts", format!("{token}.{signature}")),
        ("five parts (JWE)", format!("{head}.{body}.{signature}.{body}.{signature}")),
        ("an empty part before", format!(".{token}")),
        ("an empty part after", format!("{token}.")),
        ("empty header", format!(".{body}.{signature}")),
        ("empty claims", format!("{head}..{signature}")),
        ("swapped parts", format!("{body}.{head}.{signature}")),
        ("cut signature", token[..token.len() - 2].to_owned()),
        ("longer signature", format!("{token}AA")),
        ("signature twice", format!("{token}{signature}")),
        ("zero signature", format!("{head}.{body}.{}", b64(vec![0; raw.len()]))),
        ("flipped signature", format!("{head}.{body}.{}", b64(raw.iter().map(|b| !b).collect::<Vec<_>>()))),
        ("another's signature", format!("{head}.{body}.{}", b64(STRANGER.sign(format!("{head}.{body}").as_bytes())))),
        ("other claims", format!("{head}.{}.{signature}", b64(changed(&good.claims, "sub", json!("root")).to_string()))),
        ("other header", format!("{}.{body}.{signature}", b64(changed(&good.header, "typ", json!("JWT")).to_string()))),
        ("claims named twice", good.text(&head_text, &twice(&body_text, r#""sub":"root""#))),
        ("claims named twice by escape", good.text(&head_text, &twice(&body_text, r#""s\u0075b":"root""#))),
        ("a claim named twice inside", good.text(&head_text, &twice(&body_text, r#""x":{"y":1,"y":2}"#))),
        ("header named twice", good.text(&twice(&head_text, r#""alg":"none""#), &body_text)),
        ("kid named twice", good.text(&twice(&head_text, r#""kid":"x""#), &body_text)),
        ("byte order mark before the header", signed(&[b"\xef\xbb\xbf", head_text.as_bytes()].concat(), body_text.as_bytes())),
        ("byte order mark before the claims", signed(head_text.as_bytes(), &[b"\xef\xbb\xbf", body_text.as_bytes()].concat())),
        ("not UTF-8 in a claim", signed(head_text.as_bytes(), &[b"{\"x\":\"\xff\",", &body_text.as_bytes()[1..]].concat())),
        ("overlong UTF-8", signed(head_text.as_bytes(), &[b"{\"x\":\"\xc0\xaf\",", &body_text.as_bytes()[1..]].concat())),
        ("UTF-16 claims", signed(head_text.as_bytes(), &body_text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())),
        ("a lone surrogate", good.text(&head_text, &twice(&body_text, r#""x":"\ud800""#))),
        ("text after the claims", good.text(&head_text, &format!("{body_text}{{}}"))),
        ("a NUL after the claims", good.text(&head_text, &format!("{body_text}\u{0}"))),
        ("a comma too many", good.text(&head_text, &body_text.replacen('}', ",}", 1))),
        ("a comment", good.text(&head_text, &body_text.replacen('{', "{/**/", 1))),
        ("single quotes", good.text(&head_text, &body_text.replace('"', "'"))),
        ("NaN", good.text(&head_text, &twice(&body_text, "\"x\":NaN"))),
        ("an array of claims", good.text(&head_text, &format!("[{body_text}]"))),
        ("claims as text", good.text(&head_text, &json!(body_text).to_string())),
        ("no claims", good.text(&head_text, "")),
        ("empty claims object", good.text(&head_text, "{}")),
        ("null claims", good.text(&head_text, "null")),
        ("a header that is an array", good.text(&format!("[{head_text}]"), &body_text)),
        ("an empty header object", good.text("{}", &body_text)),
        ("a nested token", good.text(&head_text, &token)),
        ("a nested token as text", good.text(&head_text, &json!(token).to_string())),
        ("nested, cty", good.text(&changed(&good.header, "cty", json!("JWT")).to_string(), &token)),
        (
            "deeply nested claims",
            good.text(&head_text, &twice(&body_text, &format!("\"x\":{}{}", "[".repeat(500), "]".repeat(500)))),
        ),
        ("not base64", format!("{head}.!!.{signature}").replace('!', "~")),
        ("encoded twice", b64(&token)),
        ("garbage", "x".into()),
        ("dots", "...".into()),
        ("an API key of nobody", format!("pck_abcde_{}", "a".repeat(43))),
        ("an API key without a secret", "pck_abcde_".into()),
        ("an upper-case API key", format!("PCK_abcde_{}", "a".repeat(43))),
    ];
    if STANDARD_NO_PAD.encode(&raw) != b64(&raw) {
        rows.push(("signature in the standard alphabet", format!("{head}.{body}.{}", STANDARD_NO_PAD.encode(&raw))));
    }
    rows.into_iter().map(|(what, token)| (what.to_owned(), token)).collect()
}
