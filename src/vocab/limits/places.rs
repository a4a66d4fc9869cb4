//! Places that many share: how many there are, and how many of them one may take.

/// Streams of what happens at upstreams that all principals together have open: subscriptions, and streams that sessions open by GET.
/// Each holds room for its record. What one principal may have of them is `limits.streams_per_principal`.
pub const STREAMS_MAX: usize = 16_384;
/// Kinds of requests that are waited for before they are calls, each with as many places as there are for calls (`limits.in_flight`):
/// credentials, forms, messages. What arrives takes no more memory than what is under way: of a message at most `limits.body`.
pub const ARRIVING_KINDS: usize = 3;
/// One in so many places of credentials, or of forms, is the share of an address, rounded up. Much, because a proxy may stand before all.
pub const ARRIVING_PER_ADDRESS_PART: usize = 4;
/// One in so many places of messages is the share of a principal, rounded up.
pub const ARRIVING_PER_PRINCIPAL_PART: usize = 8;
