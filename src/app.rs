//! The composition root: the only place that knows every part.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::{self, Config};
use crate::vocab::Problem;

/// A config and its policies, found good.
#[derive(Debug)]
pub struct Checked {
    /// The config.
    pub config: Config,
    /// Digest of the compiled policy set.
    pub policy: String,
    /// What is allowed but worth a second look.
    pub warnings: Vec<Problem>,
}

/// Loads config and policies.
///
/// # Errors
/// Every problem of either.
pub fn check(config: &Path) -> Result<Checked, Vec<Problem>> {
    let config = config::load(config)?;
    Ok(Checked { config, policy: "not built yet".to_owned(), warnings: Vec::new() })
}

/// Why the gateway did not start.
#[derive(Debug)]
pub struct StartError {
    problems: Vec<Problem>,
}

impl StartError {
    /// The mistakes in config or policies, if that was it.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether the operator can mend it: files, addresses, permissions.
    pub fn is_input(&self) -> bool {
        true
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not built yet: serve")
    }
}

impl std::error::Error for StartError {}

/// A gateway that accepts connections.
#[derive(Debug)]
pub struct Running {
    _private: (),
}

impl Running {
    /// Scheme, host and port that agents connect to.
    pub fn mcp_url(&self) -> String {
        String::new()
    }

    /// Scheme, host and port of the operators' listener.
    pub fn admin_url(&self) -> Option<String> {
        None
    }

    /// The CA of a self-signed listener.
    pub fn ca_path(&self) -> Option<PathBuf> {
        None
    }

    /// Stops accepting, lets calls finish, and ends.
    pub async fn stop(self) {}
}

/// Binds and serves in the background.
///
/// # Errors
/// [`StartError`].
pub async fn start(_config: Config) -> Result<Running, StartError> {
    Err(StartError { problems: Vec::new() })
}

/// Serves until a signal ends it.
///
/// # Errors
/// [`StartError`].
pub fn serve(config_path: &Path) -> Result<(), StartError> {
    config::load(config_path).map_err(|problems| StartError { problems })?;
    Err(StartError { problems: Vec::new() })
}

/// The JSON Schema of policy files.
pub fn policy_schema() -> serde_json::Value {
    serde_json::json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object" })
}
