//! Where people sign in: each listener keeps what is its own.

use super::CALLBACK_PATH;
use crate::store::Space;

/// What tells the sign-ins at one listener from those at another.
#[derive(Clone, Copy, Debug)]
pub struct Entrance {
    /// Where its sessions are kept.
    pub sessions: Space,
    /// Where its sign-ins under way are kept.
    pub under_way: Space,
    /// Its cookie, without prefix.
    pub cookie: &'static str,
    /// The path at which people come back from the provider.
    pub callback: &'static str,
    /// The cookie is sent with no request that another site caused.
    pub strict: bool,
}

impl Entrance {
    /// The agents' listener.
    pub const AGENTS: Self = Self {
        sessions: Space::BrowserSession,
        under_way: Space::SignIn,
        cookie: "session",
        callback: CALLBACK_PATH,
        strict: false,
    };
}

/// Cookie that binds a sign-in to the browser that began it; a part of the state follows, so that tabs do not disturb each other.
const STATE_COOKIE: &str = "state-";
const STATE_COOKIE_CHARS: usize = 12;

/// The name of that cookie, without prefix.
pub(super) fn state_cookie(state: &str) -> String {
    format!("{STATE_COOKIE}{}", state.get(..STATE_COOKIE_CHARS).unwrap_or_default())
}
