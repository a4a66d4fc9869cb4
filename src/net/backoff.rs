//! How long to leave alone what failed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The pause after `failures` in a row, both bounds of `range` in milliseconds: the lower one after the first, twice as long after each
/// further one up to the upper one, and shortened by as much as a half by chance, so that not everybody comes back at once.
pub fn pause(failures: u32, range: RangeInclusive<u64>) -> Duration {
    let doublings = failures.saturating_sub(1).min(u64::BITS - 1);
    let whole_ms = range.start().saturating_mul(1 << doublings).min(*range.end());
    let half = Duration::from_millis(whole_ms) / 2;
    half + half.mul_f64(chance())
}

/// A number from 0 to 1. Without randomness all go at once, which is what the bound is for.
fn chance() -> f64 {
    let mut byte = [0; 1];
    match aws_lc_rs::rand::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 255.0,
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_differ() {
        for (failures, whole_ms) in [(0, 100), (1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (64, 1_000), (u32::MAX, 1_000)]
        {
            let pauses: Vec<Duration> = (0..64).map(|_| pause(failures, 100..=1_000)).collect();
            let bounds = Duration::from_millis(whole_ms / 2)..=Duration::from_millis(whole_ms);
            assert!(pauses.iter().all(|pause| bounds.contains(pause)), "{failures}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{failures}: all the same");
        }
    }
}
