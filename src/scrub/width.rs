//! How much of what stands around a secret is taken for one.

/// Where nobody decides by a text, whatever may belong to a secret goes. Where people do, a mask hides from them what they decide about,
/// and whoever asks chooses what it hides: there only what can be nothing else goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// All of it: cookies to the end of their line, private keys to the end of the text.
    Wide,
    /// Pairs of cookies, as long as they are pairs, and no private keys, so that what stands behind either is looked through too. What is
    /// found may still be more than a token: [`super::narrow`] sees to that.
    Narrow,
    /// What its own format tells, whatever stands before it.
    Formats,
}
