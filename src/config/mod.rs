//! The config file: read whole, checked whole, then fixed.
//!
//! Three steps, each with its own form: `yaml` gives a tree with places, `decode` the raw structs that mirror the
//! file, `check` a [`Config`] that cannot be wrong. Every mistake of a file is reported at once, with its place; a
//! secret is in none of the reports.

mod authserver;
mod check;
mod checked;
mod checked_identity;
mod decode;
mod limits;
mod near;
mod raw;
mod raw_identity;
mod refs;
mod report;
mod scalar;
mod shape;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use authserver::{AuthClient, AuthServer, AuthUpstream, Cimd, Dcr, Grant};
pub use check::Rest;
pub use check::audit::OWN_CHECKPOINT_KEY;
pub use check::policies::{PolicyFiles, is_cases, policy_files};
pub use checked::{
    Admin, AdminRoles, Approvals, Audit, AuditCheckpoints, AuditRetain, AuditRotate, AuditSink, Channel, CheckpointExport,
    CheckpointWebhook, ClientProof, Config, Credential, Durability, HttpSink, JagSubject, KafkaSasl, KafkaSink, KafkaTls, Limits,
    LogFormat, MailTls, Otlp, OtlpProtocol, OtlpSink, PerUser, PublicUrl, ResourceSent, RoleMember, Route, Scheme, SinkFormat,
    SinkWay, Smtp, SubjectTokenType, SyslogSink, Telemetry, Tls, TokenAsked, TokenServer, TraceTrust, Transport, Upstream, Way,
    Webhook, WebhookFormat,
};
pub use checked_identity::{
    Algorithm, ApiKey, ClientCertificates, DirectoryGroup, DirectoryMember, Dpop, Identity, Introspection, Issuer, Jwks,
    Revocation,
};

use crate::vocab::Problem;
use crate::vocab::limits::CONFIG_FILE_BYTES_MAX;
use refs::Refs;
use report::Report;

/// Reads and checks the config file at `path`, with the environment of this process.
///
/// # Errors
/// Every problem of the file, in its order; at most 200.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    load_with(path, &|name| std::env::var(name).ok())
}

/// As [`load`], for whoever looks for every mistake: with what is known about policies although the config cannot be used.
///
/// # Errors
/// Those of [`load`], and how far policies can be looked at.
pub fn load_or_rest(path: &Path) -> Result<Config, (Vec<Problem>, Option<Rest>)> {
    let (mut report, mut rest) = (Report::new(path), None);
    let config = read(path, &|name| std::env::var(name).ok(), false, &mut report, &mut rest);
    whole(config, report).map_err(|problems| (problems, rest))
}

/// A mistake that shows when a value of the config is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The dotted path of the value.
    pub path: String,
    /// What is wrong, without a secret.
    pub message: String,
}

/// `mistakes` in values of the config file at `file`, with their places in it.
pub fn placed(file: &Path, mistakes: Vec<Mistake>) -> Vec<Problem> {
    let mut report = Report::new(file);
    if let Ok(root) =
        refs::read_bounded(file, CONFIG_FILE_BYTES_MAX).and_then(|text| yaml::parse(&text).map_err(|broken| broken.message))
    {
        report.index(&root);
    }
    for Mistake { path, message } in mistakes {
        report.problem_unshown(&path, message, "");
    }
    report.into_problems()
}

/// As [`load`], for those who only judge policies or sign tokens: what `upstreams` refers to (their secrets, most of all) need not
/// be there. Never for serving.
///
/// # Errors
/// Those of [`load`], if the file cannot be used even so.
pub fn load_to_judge(path: &Path) -> Result<Config, Vec<Problem>> {
    let env = |name: &str| std::env::var(name).ok();
    load_with(path, &env).or_else(|problems| load_as(path, &env, true).map_err(|_| problems))
}

/// As [`load`], with an environment of the caller's. Paths in the file start from its directory.
///
/// # Errors
/// Every problem of the file, in its order; at most 200.
pub fn load_with(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Vec<Problem>> {
    load_as(path, env, false)
}

fn load_as(path: &Path, env: &dyn Fn(&str) -> Option<String>, upstreams_unset: bool) -> Result<Config, Vec<Problem>> {
    let mut report = Report::new(path);
    let config = read(path, env, upstreams_unset, &mut report, &mut None);
    whole(config, report)
}

fn whole(config: Option<Config>, mut report: Report) -> Result<Config, Vec<Problem>> {
    match config {
        Some(config) if !report.any() => Ok(config),
        _ => {
            if !report.any() {
                report.problem("", "cannot be used, and no check said why", "report this as a defect of Portcullis");
            }
            Err(report.into_problems())
        }
    }
}

/// The JSON Schema of the config file, for editors. Keys that this build does not have are left out.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(raw::Raw).to_value()
}

fn read(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    upstreams_unset: bool,
    report: &mut Report,
    rest: &mut Option<Rest>,
) -> Option<Config> {
    // Made absolute, so that nothing depends on where the process happens to be later.
    let file = std::path::absolute(path).map_err(|error| report.problem("", format!("is no path: {error}"), "")).ok()?;
    let text = refs::read_bounded(&file, CONFIG_FILE_BYTES_MAX);
    let text = text.map_err(|why| report.problem("", why, "name the config with --config FILE")).ok()?;
    let root = yaml::parse(&text).map_err(|broken| report.at(broken.place, "", broken.message, "")).ok()?;
    report.index(&root);
    let dir = file.parent()?;
    let mut refs = Refs { dir, env, upstreams_unset, files: Vec::new() };
    let raw = decode::decode(&root, report, &mut refs)?;
    *rest = check::rest(&raw, &file, report);
    check::check(raw, &file, refs.files, upstreams_unset, report)
}
