//! Evidence.

/// A bounded right; dropped = returned.
pub struct Lease {
    release: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Lease {
    pub(crate) fn assertion(release: Option<Box<dyn FnOnce() + Send + Sync>>) -> Self {
        Self { release }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}
