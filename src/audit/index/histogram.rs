//! How long things took, in few numbers: quantiles are right to about 3 percent.

/// Buckets of one power of two.
const STEPS: u32 = 16;
/// All buckets: [`STEPS`] exact ones, then [`STEPS`] for each power of two up to 2^31.
const BUCKETS: usize = 464;

/// Counts of times in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, us: u32) {
        if let Some(count) = self.counts.get_mut(bucket(us)) {
            *count = count.saturating_add(1);
        }
        self.total += 1;
    }

    /// The time in microseconds that `permille` of all are not above; 0 for none.
    pub(super) fn quantile(&self, permille: u64) -> u64 {
        let wanted = (self.total * permille).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return middle(at);
            }
        }
        0
    }
}

fn bucket(us: u32) -> usize {
    let at = if us < STEPS { us } else { (us.ilog2() - 3) * STEPS + ((us >> (us.ilog2() - 4)) % STEPS) };
    at as usize
}

fn middle(bucket: usize) -> u64 {
    let (power, step) = (bucket as u64 / u64::from(STEPS), bucket as u64 % u64::from(STEPS));
    match power {
        0 => step,
        _ => {
            let width = 1 << (power - 1);
            (u64::from(STEPS) + step) * width + width / 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_the_exact_ones() {
        assert_eq!(Histogram::default().quantile(500), 0);
        assert_eq!(bucket(u32::MAX), BUCKETS - 1);
        let mut histogram = Histogram::default();
        let times: Vec<u32> = (0..10_000_u32).map(|n| n * n % 7_919 * 131 + n % 13).collect();
        times.iter().for_each(|us| histogram.add(*us));
        let mut sorted = times;
        sorted.sort_unstable();
        for permille in [1, 250, 500, 950, 990, 1_000] {
            let at = (sorted.len() as u64 * permille).div_ceil(1_000) - 1;
            let exact = f64::from(sorted[usize::try_from(at).unwrap()]);
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let found = histogram.quantile(permille) as f64;
            assert!((found - exact).abs() <= exact / 30.0 + 1.0, "{permille}: {found} for {exact}");
        }
    }
}
