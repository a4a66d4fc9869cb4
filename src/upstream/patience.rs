//! How long a call may take while people are asked: the time they take to answer is theirs, and does not count as an upstream's.

use std::time::{Duration, Instant};

use crate::vocab::Deadline;
use crate::vocab::limits::QUESTION_MS_MAX;

/// The deadline of a call, and what of [`QUESTION_MS_MAX`] people may still take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    deadline: Deadline,
    left: Duration,
    open: u32,
    since: Option<Instant>,
}

impl Patience {
    /// Of a call that ends at `deadline` while nobody is asked.
    pub fn new(deadline: Deadline) -> Self {
        Self { deadline, left: Duration::from_millis(QUESTION_MS_MAX), open: 0, since: None }
    }

    /// Somebody is asked.
    pub fn asked(&mut self) {
        self.open = self.open.saturating_add(1);
        self.since.get_or_insert_with(Instant::now);
    }

    /// A question has its answer. With the last one the call's own time goes on.
    pub fn answered(&mut self) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0
            && let Some(since) = self.since.take()
        {
            let waited = since.elapsed().min(self.left);
            self.left = self.left.saturating_sub(waited);
            self.deadline = self.deadline.later(waited);
        }
    }

    /// Whether somebody is asked now.
    pub fn is_asking(&self) -> bool {
        self.since.is_some()
    }

    /// When the call ends.
    pub fn deadline(&self) -> Deadline {
        if self.is_asking() { self.deadline.later(self.left) } else { self.deadline }
    }

    /// How long a question that is asked now may wait for its answer, so that the call can still make something of it.
    pub fn longest(&self) -> Duration {
        let asked = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        self.left.saturating_sub(asked).max(self.deadline.remaining())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_have_time_of_their_own_and_not_without_end() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let most = Duration::from_millis(QUESTION_MS_MAX);
        let mut patience = Patience::new(deadline);
        assert_eq!((patience.deadline(), patience.is_asking()), (deadline, false));
        patience.asked();
        patience.asked();
        assert_eq!((patience.deadline(), patience.is_asking()), (deadline.later(most), true));
        assert!(patience.longest() <= most && patience.longest() > most - Duration::from_secs(5));
        patience.answered();
        assert!(patience.is_asking(), "one is open still");
        patience.since = patience.since.and_then(|since| since.checked_sub(Duration::from_secs(100)));
        patience.answered();
        assert!(!patience.is_asking() && patience.deadline() >= deadline.later(Duration::from_secs(100)));
        assert!(patience.left <= most - Duration::from_secs(100));
        // What one question took is gone for the next.
        patience.asked();
        patience.since = patience.since.and_then(|since| since.checked_sub(most * 2));
        patience.answered();
        assert_eq!((patience.deadline(), patience.left), (deadline.later(most), Duration::ZERO));
        patience.asked();
        assert_eq!(patience.deadline(), deadline.later(most));
    }
}
