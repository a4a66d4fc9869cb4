//! The cookies that a browser of the tests holds.

use std::collections::BTreeMap;

use parking_lot::{Mutex, MutexGuard};

use crate::wire::{Req, Resp};

/// Cookies of one host by name.
#[derive(Default)]
pub(crate) struct Jar(Mutex<BTreeMap<String, String>>);

impl Jar {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock()
    }

    /// `request` as the browser sends it.
    pub(crate) fn onto(&self, request: Req) -> Req {
        let held: Vec<String> = self.lock().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if held.is_empty() { request } else { request.add("Cookie", &held.join("; ")) }
    }

    /// Takes the cookies that come with `got`; each must have the attributes that `wanted` says of its name.
    pub(crate) fn keep(&self, got: &Resp, wanted: impl Fn(&str) -> &'static [&'static str]) {
        for (_, line) in got.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            for attribute in wanted(name) {
                assert!(line.contains(&format!("; {attribute}")), "{attribute} in {line}");
            }
            let mut held = self.lock();
            if line.contains("Max-Age=0") {
                held.remove(name);
            } else {
                held.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
