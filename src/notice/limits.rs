//! Bounds of telling approvers. Units come last in the names.

/// Notices of one channel that wait. What is over is not delivered there, and said so.
pub(super) const NOTICE_QUEUE_MAX: usize = 10_000;
/// Notices of one channel that are under way at once.
pub(super) const NOTICE_AT_ONCE_MAX: usize = 4;
/// Time for one attempt at a webhook, connecting and the whole answer included; for a mail, time to connect.
pub(super) const NOTICE_ATTEMPT_MS_MAX: u64 = 10_000;
/// Time for one mail: a server may look at it for long before it takes it (RFC 5321 section 4.5.3.2.6), and one that is given up
/// meanwhile comes once more.
pub(super) const NOTICE_MAIL_MS_MAX: u64 = 10 * 60 * 1_000;
/// Time to take leave of a mail server.
pub(super) const NOTICE_QUIT_MS_MAX: u64 = 2_000;
/// Attempts to deliver a notice.
pub(super) const NOTICE_ATTEMPTS_MAX: u32 = 20;
/// Time after which a notice is no longer tried.
pub(super) const NOTICE_LIFE_MS: u64 = 24 * 3_600 * 1_000;
/// The pause after the first attempt that failed; later ones are twice as long each.
pub(super) const NOTICE_PAUSE_MS_MIN: u64 = 1_000;
/// The longest pause between two attempts.
pub(super) const NOTICE_PAUSE_MS_MAX: u64 = 15 * 60 * 1_000;
/// Answer of a receiver that is read.
pub(super) const NOTICE_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Characters of the arguments in a message of a chat or a pager.
pub(super) const NOTICE_EXCERPT_CHARS_MAX: usize = 2_500;
/// Notices in the store, those that are done included. What is over is not told, and said so.
pub(super) const NOTICES_KEPT_MAX: u64 = 250_000;
/// Notices that are read from the store at one go.
pub(super) const NOTICE_ROWS_MAX: u32 = 1_000;
/// Notices that the delivery log shows.
pub(super) const NOTICE_LOG_MAX: usize = 1_000;
/// How often a reply of a mail server may go on, in lines.
pub(super) const SMTP_REPLY_LINES_MAX: usize = 64;
/// A line of a mail server (RFC 5321 section 4.5.3.1.5, with room for those that exceed it).
pub(super) const SMTP_LINE_BYTES_MAX: usize = 2_048;
