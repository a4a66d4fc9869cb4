//! What a browser sees of the gateway: pages, forms and cookies, and the rules that all of them keep.
//!
//! Layer 2. A page takes a [`PageRequest`] and gives a [`PageAnswer`]; what it means is the business of the layers above. Text of
//! others gets into a page through [`Html::text`] only, which escapes it. No page holds a script.

mod answer;
mod cookie;
mod guard;
mod html;
mod pace;
mod params;
mod secret;
mod site;

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};

pub use answer::{Note, PageAnswer, Verdict};
pub use cookie::cookie;
pub use guard::{csrf_holds, csrf_token, is_from_us};
pub use html::{Html, Page};
pub use pace::{PerAddress, admitted, network};
pub use params::{Params, ParamsError};
pub use secret::{NoRandomness, digest, digest_text, fresh_secret};
pub use site::Site;

/// A request for a page, read whole. Host and origin were checked; nothing else was.
#[derive(Clone)]
pub struct PageRequest {
    /// The method.
    pub method: Method,
    /// The path, as it came.
    pub path: String,
    /// The query, as it came.
    pub query: Option<String>,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, at most [`crate::vocab::limits::FORM_BYTES_MAX`] bytes.
    pub body: Bytes,
    /// The address the connection came from, where it is known.
    pub peer: Option<IpAddr>,
}

/// Query, headers and body hold codes, cookies and secrets, so that only method and path are printed.
impl std::fmt::Debug for PageRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageRequest").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
