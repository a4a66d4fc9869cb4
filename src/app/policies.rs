//! Policies apart from a running gateway, for the tools that judge them.

use std::path::{Path, PathBuf};

use super::load::{read, unreadable};
use crate::config::{self, Config};
use crate::policy::{self, Facts, PolicySet};
use crate::vocab::Problem;

/// What a config says that policies depend on.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Names of the upstreams.
    pub upstreams: Vec<String>,
    /// Issuers of tokens.
    pub issuers: Vec<String>,
}

impl Around {
    /// What `config` says.
    pub fn of(config: &Config) -> Self {
        let mut issuers: Vec<String> = config.identity.issuers.iter().map(|issuer| issuer.issuer.clone()).collect();
        if config.identity.dev {
            issuers.push(crate::identity::dev::DEV_ISSUER.to_owned());
        }
        Self { upstreams: config.upstreams.iter().map(|upstream| upstream.name.clone()).collect(), issuers }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts { upstreams: &self.upstreams, issuers: &self.issuers }
    }
}

/// Policy files, and the cases beside them.
#[derive(Debug)]
pub struct PolicyPlace {
    /// What they compile to.
    pub set: PolicySet,
    /// Files of cases.
    pub cases: Vec<PathBuf>,
}

/// Compiles the policy files at `paths`: files, or directories as `policies` of a config names them.
///
/// # Errors
/// Every problem of all files at once.
pub fn compile_at(paths: &[PathBuf], around: &Around) -> Result<PolicyPlace, Vec<Problem>> {
    let (mut problems, mut files, mut cases) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        match config::policy_files(path) {
            Ok(found) if found.policies.is_empty() => problems.push(unreadable(path, "it holds no policy file")),
            Ok(found) => {
                files.extend(found.policies);
                cases.extend(found.cases);
            }
            Err(why) => problems.push(unreadable(path, &why)),
        }
    }
    let mut texts = Vec::new();
    for file in files {
        match read(&file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(why) => problems.push(unreadable(&file, &why)),
        }
    }
    match policy::compile(&texts, &around.facts()) {
        Ok(set) if problems.is_empty() => Ok(PolicyPlace { set, cases }),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

/// Reads a file of cases or of names, at most as large as a config may be.
///
/// # Errors
/// That it cannot be read.
pub fn read_text(file: &Path) -> Result<String, Vec<Problem>> {
    read(file).map_err(|why| vec![Problem { hint: "name a file that can be read".to_owned(), ..unreadable(file, &why) }])
}
