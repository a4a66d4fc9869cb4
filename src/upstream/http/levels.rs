//! Log levels that sessions were given (2025-11-25, logging): a session that is opened in the place of another logs like it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::mcp::LogLevel;
use crate::upstream::key::SessionKey;
use crate::vocab::limits::SESSION_S_MAX;

/// The level last set for each owner of a session: at most as many as there may be sessions, and no longer than a client's session lasts.
pub(super) struct Levels {
    set: Mutex<HashMap<SessionKey, (LogLevel, Instant)>>,
    entries_max: usize,
}

impl Levels {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { set: Mutex::default(), entries_max }
    }

    pub(super) fn set(&self, key: &SessionKey, level: LogLevel) {
        let mut set = self.set.lock();
        if set.len() >= self.entries_max && !set.contains_key(key) {
            let oldest = set.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone());
            oldest.and_then(|key| set.remove(&key));
        }
        set.insert(key.clone(), (level, Instant::now()));
    }

    pub(super) fn of(&self, key: &SessionKey) -> Option<LogLevel> {
        let lasting = |(_, at): &&(LogLevel, Instant)| at.elapsed() < Duration::from_secs(SESSION_S_MAX);
        self.set.lock().get(key).filter(lasting).map(|(level, _)| *level)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mcp::client_caps::ClientCaps;
    use crate::vocab::PrincipalKey;

    #[test]
    fn keeps_the_level_set_last_for_so_many() {
        let key = |sub: &str| {
            let who = PrincipalKey { iss: Arc::from("i"), sub: Arc::from(sub) };
            SessionKey::of(false, &who, 0, ClientCaps::NONE)
        };
        let levels = Levels::new(2);
        levels.set(&key("a"), LogLevel::Debug);
        levels.set(&key("b"), LogLevel::Info);
        levels.set(&key("a"), LogLevel::Error);
        assert_eq!((levels.of(&key("a")), levels.of(&key("b"))), (Some(LogLevel::Error), Some(LogLevel::Info)));
        levels.set(&key("c"), LogLevel::Debug);
        assert_eq!((levels.of(&key("a")), levels.of(&key("b"))), (Some(LogLevel::Error), None));
        assert_eq!(levels.of(&key("c")), Some(LogLevel::Debug));
    }
}
