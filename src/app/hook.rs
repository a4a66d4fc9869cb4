//! What upstreams say of their lists, told to the catalog.

use std::sync::{Arc, OnceLock, Weak};

use crate::catalog::{Catalog, Part};
use crate::upstream::ListHook;

/// Ties list changes to a catalog that is made after the registry.
#[derive(Default)]
pub(super) struct Hook {
    catalog: OnceLock<Weak<Catalog>>,
}

impl Hook {
    pub(super) fn attach(&self, catalog: &Arc<Catalog>) {
        // Set once; a second catalog would be a bug that changes nothing here.
        let _ = self.catalog.set(Arc::downgrade(catalog));
    }

    pub(super) fn listener(self: &Arc<Self>) -> ListHook {
        let hook = self.clone();
        Arc::new(move |upstream, who, listing| {
            let Some(catalog) = hook.catalog.get().and_then(Weak::upgrade) else { return };
            for part in Part::changed(listing) {
                catalog.changed(upstream, who, *part);
            }
        })
    }
}
