//! `key new`: an API key, shown once, and what the config keeps of it.

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::args::KeyArgs;
use super::exit::{Exit, Failure};
use super::out::Out;
use crate::identity::generate_api_key;

pub(super) fn new(args: KeyArgs, out: &mut Out) -> Result<Exit, Failure> {
    let made = generate_api_key(&args.name).map_err(Failure::fault)?;
    let hash = format!("sha256:{}", made.hash_hex);
    if args.json {
        let mut entry = json!({ "id": made.id, "name": args.name, "hash": hash, "groups": args.groups, "scopes": args.scopes });
        if let (Some(members), Some(expires)) = (entry.as_object_mut(), args.expires) {
            members.insert("expires".to_owned(), expires.into());
        }
        let document = json!({ "key": made.key.expose_secret(), "entry": entry });
        out.line(serde_json::to_string_pretty(&document).map_err(Failure::fault)?);
        return Ok(Exit::Yes);
    }
    out.line("The key, which is shown this once:");
    out.line("");
    out.line(format_args!("  {}", made.key.expose_secret()));
    out.line("");
    out.line("Its entry in the config, under identity.api_keys:");
    out.line("");
    out.line(format_args!("  {}", entry(&made.id, &hash, &args)));
    Ok(Exit::Yes)
}

/// The entry as a line of YAML. A JSON string is a YAML double-quoted scalar; `${` would be a reference there.
fn entry(id: &str, hash: &str, args: &KeyArgs) -> String {
    let quoted = |text: &str| json!(text.replace("${", "$${")).to_string();
    let list = |texts: &[String]| texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
    let mut entry = format!("- {{ id: {id}, name: {}, hash: \"{hash}\"", quoted(&args.name));
    if !args.groups.is_empty() {
        entry.push_str(&format!(", groups: [{}]", list(&args.groups)));
    }
    if !args.scopes.is_empty() {
        entry.push_str(&format!(", scopes: [{}]", list(&args.scopes)));
    }
    if let Some(expires) = &args.expires {
        entry.push_str(&format!(", expires: {}", quoted(expires)));
    }
    entry + " }"
}
