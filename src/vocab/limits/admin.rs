//! Bounds of the operators' listener.

/// Entries of one role of the operators' listener.
pub const ROLE_MEMBERS_MAX: usize = 256;
/// Body of a request to the admin API.
pub const ADMIN_BODY_BYTES_MAX: usize = 16 * 1024;
/// Requests to the console and the admin API under way at once.
pub const ADMIN_REQUESTS_MAX: usize = 128;
/// Those among them whose body is read before anybody knows who sends it: forms where signing in happens.
pub const ADMIN_STRANGERS_MAX: usize = 16;
/// Event streams of the admin API that are open at once.
pub const ADMIN_STREAMS_MAX: usize = 64;
/// Events that wait for a slow reader of such a stream; one that lags behind is told to read the lists again.
pub const ADMIN_EVENTS_MAX: usize = 256;
/// Longest life of such a stream; a browser opens the next by itself.
pub const ADMIN_STREAM_S_MAX: u64 = 900;
/// Items on one page of a list of the admin API.
pub const ADMIN_PAGE_ITEMS_MAX: usize = 200;
/// Records that are kept in memory for people to look at.
pub const RECENT_RECORDS_MAX: usize = 10_000;
/// Bytes of them.
pub const RECENT_BYTES_MAX: usize = 16 * 1024 * 1024;
