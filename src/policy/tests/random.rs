//! Random choice that is the same in every run.

use crate::vocab::Class;

pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// Names that random policies are about, with the classes those give them.
pub(super) const NAMES: [(&str, Class); 4] =
    [("x__read", Class::Read), ("x__write", Class::Write), ("y__read", Class::Read), ("x__wipe", Class::Destructive)];

pub(super) fn seed() -> Random {
    Random(0x9e37_79b9_7f4a_7c15)
}
