//! What `check` finds: every mistake, and what is legal but most likely not meant.

use std::path::Path;

use serde_json::{Map, json};

use super::checkpoints::key_beside_log;
use super::load::{Texts, read, unreadable};
use super::policies::Around;
use super::usable::unusable;
use crate::config::{self, Config, Rest};
use crate::identity::dev::DEV_ISSUER;
use crate::policy::{self, Finding, Known, Severity, Tools};
use crate::vocab::principal::KEY_ISSUER;
use crate::vocab::{Principal, Problem};

/// A config and its policies, found good.
#[derive(Debug)]
pub struct Checked {
    /// The config.
    pub config: Config,
    /// Digest of the compiled policy set.
    pub policy: String,
    /// What is allowed but worth a second look.
    pub findings: Vec<Finding>,
}

/// Checks the config at `path` and its policies, and looks for what was most likely not meant. `tools` names a JSON file with the
/// tools that exist: a list of names, or what `tools/list` answered.
///
/// # Errors
/// Every problem of all files at once.
pub fn check(path: &Path, tools: Option<&Path>) -> Result<Checked, Vec<Problem>> {
    let config = config::load_or_rest(path).map_err(|(mut problems, rest)| {
        problems.extend(rest.map(of_policies).unwrap_or_default());
        problems
    })?;
    let mut problems = unusable(&config);
    let tools = tools.map(|file| known_tools(file, &config)).transpose();
    let tools = tools.unwrap_or_else(|wrong| {
        problems.extend(wrong);
        None
    });
    let keys: Vec<Principal> = config.identity.api_keys.iter().map(key).collect();
    let tools = tools.as_ref().map(|(file, tools)| (file.as_str(), tools));
    let known = Known { tools, anonymous: config.identity.anonymous, keys: &keys };
    match Texts::of(&config).with(|files, facts| policy::check(files, facts, &known)) {
        Ok((set, mut findings)) if problems.is_empty() => {
            findings.extend(exposed_key(&config));
            Ok(Checked { policy: set.digest().to_string(), findings, config })
        }
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

/// Mistakes of the policies beside a config that has mistakes. What rests on something that the config does not say is left out.
fn of_policies(rest: Rest) -> Vec<Problem> {
    let mut issuers = rest.issuers.clone().unwrap_or_default();
    issuers.extend(rest.dev.then(|| DEV_ISSUER.to_owned()));
    let around = Around { upstreams: Vec::new(), issuers };
    let mut problems = Texts::read(&rest.policies, around).with(policy::compile).err().unwrap_or_default();
    let of_issuers = |problem: &Problem| problem.path.contains("issuer") || problem.message.contains("issuer");
    problems.retain(|problem| rest.issuers.is_some() || !of_issuers(problem));
    problems
}

/// The key that signs the audit beside the audit. The gateway makes one there for whoever names none, which is only worth knowing; one that
/// somebody put there was meant to be safe.
fn exposed_key(config: &Config) -> Option<Finding> {
    let made = config.audit.checkpoint_key == config.data_dir.join(config::OWN_CHECKPOINT_KEY);
    let severity = if made { Severity::Note } else { Severity::Warning };
    let problem = Problem {
        file: config.file.display().to_string(),
        line: 0,
        column: 0,
        path: "keys.checkpoint".to_owned(),
        value: String::new(),
        message: "the key that signs the audit lies in `data_dir`, beside the audit: whoever may write there can forge both".to_owned(),
        hint: "name one on another disk: openssl genpkey -algorithm ed25519 -out FILE && chmod 600 FILE; and see audit.checkpoints.export"
            .to_owned(),
    };
    key_beside_log(config).then_some(Finding { kind: "checkpoint_key", severity, rule: None, problem })
}

fn known_tools(file: &Path, config: &Config) -> Result<(String, Tools), Vec<Problem>> {
    let upstreams: Vec<String> = config.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
    let hint = "a JSON list of names such as UPSTREAM__TOOL, or the result of tools/list";
    let wrong = |message: String| vec![Problem { message, hint: hint.to_owned(), ..unreadable(file, "") }];
    let text = read(file).map_err(|why| wrong(format!("cannot be read: {why}")))?;
    Ok((file.display().to_string(), Tools::read(&text, &upstreams).map_err(wrong)?))
}

/// Who a key of the config is to rules.
fn key(key: &config::ApiKey) -> Principal {
    Principal {
        iss: KEY_ISSUER.into(),
        sub: format!("key:{}", key.name).into(),
        scopes: key.scopes.iter().map(|scope| scope.as_str().into()).collect(),
        claims: Map::from_iter([("groups".to_owned(), json!(key.groups))]),
        key_id: Some(key.id.as_str().into()),
        anonymous: false,
        ..Principal::anonymous()
    }
}
