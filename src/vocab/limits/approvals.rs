//! Bounds on approvals.

/// Requests for approval that are kept, those that are over included.
pub const APPROVALS_KEPT_MAX: usize = 20_000;
/// How long a request for approval is kept once it is over.
pub const APPROVAL_KEPT_S: u64 = 24 * 3_600;
/// The same for a no: as long, and as long as a lease can last that was given in that time.
pub const APPROVAL_NO_KEPT_S: u64 = APPROVAL_KEPT_S + 24 * 3_600;
/// Text of the arguments that approvers are shown; what is left out is counted.
pub const APPROVAL_SHOWN_BYTES_MAX: usize = 64 * 1024;
/// Text of the arguments that stands in lists of requests.
pub const APPROVAL_EXCERPT_BYTES_MAX: usize = 512;
/// Characters of the reason that an approver gives.
pub const APPROVAL_REASON_CHARS_MAX: usize = 500;
/// Characters of the name that a person is shown by.
pub const APPROVAL_NAME_CHARS_MAX: usize = 128;
/// How often a change of a request for approval is tried anew because another was faster.
pub const APPROVAL_RACES_MAX: usize = 32;
/// Changes of requests for approval that wait for a slow reader.
pub const APPROVAL_CHANGES_MAX: usize = 1_024;
/// Text of the arguments in a form by which who calls confirms.
pub const APPROVAL_FORM_BYTES_MAX: usize = 8 * 1024;
/// Time between two messages of progress to a call that is held until it is approved.
pub const APPROVAL_PROGRESS_MS: u64 = 5_000;
/// Calls of one principal that are held, each at the cost of a connection's stream, until they are approved.
pub const APPROVAL_HELD_PER_PRINCIPAL_MAX: usize = 32;
/// Calls of one principal that wait for approval as tasks.
pub const DEFERRED_PER_PRINCIPAL_MAX: usize = 64;
/// The same of all principals together.
pub const DEFERRED_MAX: usize = 4_096;
/// Bytes of such calls of one principal.
pub const DEFERRED_BYTES_PER_PRINCIPAL_MAX: usize = 16 * 1024 * 1024;
/// The same of all principals together.
pub const DEFERRED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long it is kept what came of such a call.
pub const DEFERRED_RESULT_S: u64 = 600;
/// Bytes of all that is kept so.
pub const DEFERRED_RESULT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The same for one principal.
pub const DEFERRED_RESULT_BYTES_PER_PRINCIPAL_MAX: usize = 24 * 1024 * 1024;
/// How often requests for approval are looked through for those that have expired.
pub const APPROVAL_LOOK_MS: u64 = 500;
/// Calls that one lease lets through.
pub const LEASE_USES_MAX: u32 = 100;
