//! Sets of numbers below a known bound, such as positions of rules: a list while they are few, bits where they are many.

/// A bit for each number.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Box<[u64]>,
    /// A bit for each word that is not zero.
    busy: Box<[u64]>,
}

impl Bits {
    /// The numbers below `count` that `holds` is true of.
    pub(super) fn of(count: usize, holds: impl Fn(usize) -> bool) -> Self {
        Self::of_words(packed(count, holds))
    }

    fn of_words(words: Box<[u64]>) -> Self {
        let busy = packed(words.len(), |at| words.get(at).is_some_and(|word| *word != 0));
        Self { words, busy }
    }
}

/// A bit for each number below `count`, set where `holds` is true of it.
fn packed(count: usize, holds: impl Fn(usize) -> bool) -> Box<[u64]> {
    let word = |first: usize| {
        let numbers = first..count.min(first + WORD);
        numbers.fold(0, |word, number| word | u64::from(holds(number)) << (number - first))
    };
    (0..count).step_by(WORD).map(word).collect()
}

fn word(words: &[u64], at: usize) -> u64 {
    words.get(at).copied().unwrap_or(0)
}

/// Numbers in each word.
const WORD: usize = 64;

/// What to leave out of a set: every number without a bit in each of these.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mask<'m>(pub(super) [Option<&'m Bits>; 2]);

impl Mask<'_> {
    fn word(&self, at: usize) -> u64 {
        self.0.iter().flatten().fold(u64::MAX, |sum, bits| sum & word(&bits.words, at))
    }

    fn busy(&self, at: usize) -> u64 {
        self.0.iter().flatten().fold(u64::MAX, |sum, bits| sum & word(&bits.busy, at))
    }

    fn has(&self, number: usize) -> bool {
        self.word(number / WORD) >> (number % WORD) & 1 == 1
    }
}

/// A set. Going through it costs at most a step for each of its numbers or for each 64 below the bound, whichever is less.
#[derive(Debug)]
pub(super) enum Posting {
    /// Ascending.
    Few(Box<[u32]>),
    Many(Bits),
}

impl Default for Posting {
    fn default() -> Self {
        Self::Few(Box::default())
    }
}

impl Posting {
    /// The set of `numbers`, all of them below `count`.
    pub(super) fn new(mut numbers: Vec<u32>, count: usize) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() <= count.div_ceil(WORD) {
            return Self::Few(numbers.into());
        }
        let mut words = vec![0_u64; count.div_ceil(WORD)];
        for number in numbers.into_iter().map(position) {
            if let Some(word) = words.get_mut(number / WORD) {
                *word |= 1 << (number % WORD);
            }
        }
        Self::Many(Bits::of_words(words.into()))
    }

    /// Calls `found` with each number that `mask` leaves, ascending, until it returns false.
    pub(super) fn each(&self, mask: Mask<'_>, found: &mut dyn FnMut(usize) -> bool) -> bool {
        match self {
            Self::Few(numbers) => numbers.iter().map(|n| position(*n)).filter(|n| mask.has(*n)).all(found),
            Self::Many(bits) => (0..bits.busy.len()).all(|high| {
                ones(word(&bits.busy, high) & mask.busy(high))
                    .map(|low| high * WORD + low)
                    .all(|at| ones(word(&bits.words, at) & mask.word(at)).map(|low| at * WORD + low).all(&mut *found))
            }),
        }
    }
}

/// Places of the bits of a word, ascending.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = word.trailing_zeros();
        word &= word.checked_sub(1)?;
        Some(position(lowest))
    })
}

/// A number as a place in a slice.
fn position(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(posting: &Posting, mask: Mask<'_>) -> Vec<usize> {
        let mut found = Vec::new();
        posting.each(mask, &mut |number| {
            found.push(number);
            true
        });
        found
    }

    #[test]
    fn few_and_many_are_the_same_set() {
        let count = 1_000;
        for step in [1, 2, 7, 63, 64, 65, 400, 999] {
            let expect: Vec<usize> = (0..count).step_by(step).collect();
            let numbers: Vec<u32> = expect.iter().rev().chain(&expect).map(|n| u32::try_from(*n).unwrap()).collect();
            let posting = Posting::new(numbers, count);
            assert_eq!(matches!(posting, Posting::Many(_)), expect.len() > 16, "{step}");
            assert_eq!(all(&posting, Mask::default()), expect, "{step}");
            let (even, low) = (Bits::of(count, |n| n % 2 == 0), Bits::of(count, |n| n < 500));
            let left: Vec<usize> = expect.into_iter().filter(|n| n % 2 == 0 && *n < 500).collect();
            assert_eq!(all(&posting, Mask([Some(&even), Some(&low)])), left, "{step}");
        }
        assert_eq!(all(&Posting::default(), Mask::default()), [0; 0]);
    }

    #[test]
    fn going_through_stops_when_told() {
        for posting in [Posting::new(vec![3, 5, 8], 1_000), Posting::new(vec![3, 5, 8], 10)] {
            let mut seen = Vec::new();
            let ended = posting.each(Mask::default(), &mut |number| {
                seen.push(number);
                number < 5
            });
            assert!(!ended);
            assert_eq!(seen, [3, 5]);
        }
    }
}
