//! Where the parts of a policy set stand in its files. Kept beside the set, for decisions never need it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::glob::Glob;
use super::yaml::Place;
use crate::vocab::Class;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) file: Arc<str>,
    pub(super) place: Place,
    /// Dotted path of the key.
    pub(super) path: Arc<str>,
}

/// Where everything stands.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// By rule id.
    pub(super) rules: HashMap<Arc<str>, Origin>,
    /// By name.
    pub(super) groups: Vec<(Box<str>, Origin)>,
    pub(super) classes: Vec<ClassOrigin>,
}

/// One entry of `tools`, as the files have it.
#[derive(Debug)]
pub(super) struct ClassOrigin {
    pub(super) globs: Vec<Glob>,
    pub(super) class: Class,
    pub(super) origin: Origin,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.place.line)
    }
}
