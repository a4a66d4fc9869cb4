//! Where the tools that judge policies find one: `--policy`, or the config.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::exit::Failure;
use crate::app::{self, Around, PolicyPlace};
use crate::config::{self, Config};
use crate::policy::PolicySet;
use crate::policy::cases::{Cast, gather};

/// The config that is used where nothing is named.
const DEFAULT_CONFIG: &str = "config/portcullis.yaml";

#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    /// The config file, whose policies are judged [default: config/portcullis.yaml, unless --policy is given]
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// A policy file or directory to judge instead of the config's; may be repeated
    #[arg(long, value_name = "PATH")]
    pub(super) policy: Vec<PathBuf>,
}

/// A compiled policy, and what stands around it.
pub(super) struct Source {
    pub(super) set: Arc<PolicySet>,
    /// Files of cases beside the policy.
    pub(super) cases: Vec<PathBuf>,
    /// What the config says, where there is one.
    pub(super) around: Around,
    pub(super) config: Option<Config>,
}

impl PolicyArgs {
    /// Whether the user named anything.
    pub(super) fn is_given(&self) -> bool {
        self.config.is_some() || !self.policy.is_empty()
    }

    /// Finds and compiles the policy.
    pub(super) fn load(&self) -> Result<Source, Failure> {
        if self.policy.is_empty() {
            let path = self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
            let (config, set) = app::load_to_judge(path).map_err(|problems| Failure::problems(&problems))?;
            let around = Around::of(&config);
            let cases = cases_beside(&config.policies)?;
            return Ok(Source { set, cases, around, config: Some(config) });
        }
        let config =
            self.config.as_deref().map(config::load_to_judge).transpose().map_err(|problems| Failure::problems(&problems))?;
        let around = config.as_ref().map(Around::of).unwrap_or_default();
        let place = compile(&self.policy, &around)?;
        Ok(Source { set: Arc::new(place.set), cases: place.cases, around, config })
    }
}

impl Source {
    /// Who and what the cases beside the policy speak of.
    pub(super) fn cast(&self) -> Result<Cast, Failure> {
        let mut all = Cast::default();
        for file in &self.cases {
            let text = read(file)?;
            let cast = gather(&self.set, &file.display().to_string(), &text).map_err(|problems| Failure::problems(&problems))?;
            all.people.extend(cast.people);
            all.tools.extend(cast.tools);
            all.resources.extend(cast.resources);
            all.prompts.extend(cast.prompts);
        }
        Ok(all)
    }
}

/// Compiles policies elsewhere, for the same surroundings.
pub(super) fn compile(paths: &[PathBuf], around: &Around) -> Result<PolicyPlace, Failure> {
    app::compile_at(paths, around).map_err(|problems| Failure::problems(&problems))
}

/// Reads a whole file.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    app::read_text(file).map_err(|problems| Failure::problems(&problems))
}

/// Cases in the directories that hold these files.
pub(super) fn cases_beside(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut directories: Vec<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    directories.sort();
    directories.dedup();
    let mut cases = Vec::new();
    for directory in directories {
        // A single policy file may lie among anything.
        cases.extend(config::policy_files(directory).map(|found| found.cases).unwrap_or_default());
    }
    cases.sort();
    cases.dedup();
    Ok(cases)
}
