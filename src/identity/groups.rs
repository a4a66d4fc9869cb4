//! Groups as claims tell them: all of them, or the claims do not count. Left out, groups would loosen a rule that denies.

use serde_json::{Map, Value};

use super::claims::lookup;

/// Groups of one principal.
pub(super) const GROUPS_MAX: usize = 1_024;

/// The groups that `claims` tell under the name or dotted `path`; none where there is no such claim.
///
/// # Errors
/// Groups that cannot be read whole, for the log: no text or list of texts, too many, or somewhere else (OpenID Connect Core 1.0
/// section 5.6.2; Entra ID says `hasgroups` in tokens that have to be short).
pub fn claimed_groups(claims: &Map<String, Value>, path: &str) -> Result<Option<Vec<String>>, &'static str> {
    let claim = path.split('.').next().unwrap_or(path);
    let elsewhere = match claims.get("_claim_names") {
        None | Some(Value::Null) => false,
        Some(Value::Object(names)) => names.contains_key(path) || names.contains_key(claim),
        Some(_) => true,
    };
    let unsaid = claim == "groups" && !matches!(claims.get("hasgroups"), None | Some(Value::Null | Value::Bool(false)));
    if elsewhere || unsaid {
        return Err("the groups are not in the claims, which say that they are elsewhere");
    }
    const WRONG: &str = "the groups are neither a text nor a list of texts";
    match lookup(claims, path) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(one)) => Ok(Some(vec![one.clone()])),
        Some(Value::Array(all)) if all.len() > GROUPS_MAX => Err("too many groups"),
        Some(Value::Array(all)) => {
            let all: Option<Vec<String>> = all.iter().map(|one| one.as_str().map(str::to_owned)).collect();
            all.map(Some).ok_or(WRONG)
        }
        Some(_) => Err(WRONG),
    }
}
