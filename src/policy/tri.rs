//! Three-valued truth (Kleene): what could not be evaluated is neither true nor false.

/// True, false, or not to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tri {
    True,
    False,
    Unknown,
}

impl From<bool> for Tri {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

impl Tri {
    /// True if all are; false as soon as one is.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = Self::True;
        for part in parts {
            match part {
                Self::False => return Self::False,
                Self::Unknown => sum = Self::Unknown,
                Self::True => {}
            }
        }
        sum
    }

    /// True as soon as one is; false if all are.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = Self::False;
        for part in parts {
            match part {
                Self::True => return Self::True,
                Self::Unknown => sum = Self::Unknown,
                Self::False => {}
            }
        }
        sum
    }
}
