//! Bounds of policy files and of what they compile to. Units come last in the names.

/// Values of one policy file, aliases expanded.
pub(super) const YAML_NODES_MAX: usize = 1_000_000;
/// Nesting of a policy file.
pub(super) const YAML_DEPTH_MAX: usize = 32;
/// Anchors, and uses of them, in a policy file.
pub(super) const YAML_ALIASES_MAX: usize = 1_024;
/// Problems reported at once.
pub(super) const PROBLEMS_MAX: usize = 200;
/// Characters of an offending value that are shown.
pub(super) const SHOWN_CHARS_MAX: usize = 96;
/// Rules of a policy set, all files together.
pub(super) const RULES_MAX: usize = 20_000;
/// Entries of any one list of a policy.
pub(super) const LIST_ENTRIES_MAX: usize = 10_000;
/// Length of a rule id or a group name.
pub(super) const NAME_BYTES_MAX: usize = 128;
/// Length of a glob.
pub(super) const GLOB_BYTES_MAX: usize = 1_024;
/// Segments of a pointer.
pub(super) const POINTER_SEGMENTS_MAX: usize = 32;
/// `**` segments of a pointer; each multiplies what selection may cost by the depth of the arguments.
pub(super) const POINTER_DEEP_MAX: usize = 2;
/// Text of the constraints that an approver puts on arguments.
pub(super) const CONSTRAINT_BYTES_MAX: usize = 2 * 1_024;
/// Pointers in such.
pub(super) const CONSTRAINT_POINTERS_MAX: usize = 8;
/// Limits of one rule.
pub(super) const LIMITS_MAX: usize = 16;
/// Longest window of a limit, in seconds.
pub(super) const LIMIT_PER_S_MAX: u64 = 31 * 24 * 3_600;
/// How long an approval can be waited for: by default, at least, at most.
pub(super) const APPROVAL_MS_DEFAULT: u64 = 15 * 60 * 1_000;
pub(super) const APPROVAL_MS_MIN: u64 = 60 * 1_000;
pub(super) const APPROVAL_MS_MAX: u64 = 24 * 3_600 * 1_000;
/// People who must agree to one call.
pub(super) const APPROVAL_QUORUM_MAX: u8 = 16;
/// Shortest and longest `deadline`.
pub(super) const DEADLINE_MS_MIN: u64 = 100;
pub(super) const DEADLINE_MS_MAX: u64 = 3_600 * 1_000;
/// Arguments that one rule has recorded; records hold no more of all rules together.
pub(super) const SHOWN_ARGUMENTS_MAX: usize = crate::vocab::limits::AUDIT_FIELDS_MAX;
/// Nesting of arguments that argument rules look at; the decoder's own limit is lower.
pub(super) const ARGUMENT_DEPTH_MAX: usize = 512;
/// Values of the arguments that argument rules look at.
pub(super) const ARGUMENT_VALUES_MAX: usize = 100_000;
/// What argument rules may take to judge one call, all together: a step is one value met by one pointer, or held against one entry
/// of a matcher, or some more bytes of it. Most take some tens of nanoseconds.
pub(super) const ARGUMENT_STEPS_MAX: u64 = 4_000_000;
/// Bytes of a value that are one step more.
pub(super) const ARGUMENT_STEP_BYTES: usize = 256;
/// Steps of a reading that looks for all that a path, or a URL, may be taken for.
pub(super) const ADDRESS_STEPS: usize = 32;
/// Steps of a list or a map that a value is held against, whose texts are decoded.
pub(super) const NESTED_STEPS: usize = 16;
/// Rounds of percent-decoding after which a path counts as hostile.
pub(super) const DECODE_ROUNDS_MAX: usize = 8;
/// Length of one regular expression.
pub(super) const REGEX_BYTES_MAX: usize = 1_024;
/// Nesting of one regular expression.
pub(super) const REGEX_DEPTH_MAX: u32 = 32;
/// What one compiled regular expression may take: matching costs at most its size times the length of the text.
pub(super) const REGEX_PROGRAM_BYTES_MAX: usize = 256 * 1_024;
/// What matching one regular expression may keep to go faster.
pub(super) const REGEX_CACHE_BYTES_MAX: usize = 512 * 1_024;
/// Longest text that is searched for an expression without a table of its own; the cost is at most its program times the text.
pub(super) const REGEX_TEXT_BYTES_MAX: usize = 16 * 1_024;
/// Steps of a search without a table, where one with a table takes one.
pub(super) const REGEX_UNTABLED_STEPS: usize = 1_000;
/// What the table of an expression may take. With one, a text of any length is read once.
pub(super) const REGEX_TABLE_BYTES_MAX: usize = 256 * 1_024;
/// What making such a table may take.
pub(super) const REGEX_TABLE_MAKING_BYTES_MAX: usize = 1_024 * 1_024;
/// Regular expressions of one `matches`.
pub(super) const REGEXES_MAX: usize = 64;
/// Length of a `when` condition.
pub(super) const WHEN_BYTES_MAX: usize = 2_048;
/// Words and signs of a `when`; the parser recurses along them.
pub(super) const WHEN_TOKENS_MAX: usize = 400;
/// Open brackets and `?` of a `when` at any one place.
pub(super) const WHEN_BRACKETS_MAX: usize = 16;
/// Recursion of the parser of `when`.
pub(super) const WHEN_PARSE_DEPTH_MAX: u16 = 96;
/// Stack of the parser of `when`; pages it does not touch cost nothing.
pub(super) const WHEN_PARSE_STACK_BYTES: usize = 16 << 20;
/// Parts of a `when`: every value, operator and call.
pub(super) const WHEN_NODES_MAX: usize = 200;
/// Nesting of the parts of a `when`.
pub(super) const WHEN_DEPTH_MAX: usize = 48;
/// Comprehensions (`all`, `exists`, `map`, ..) inside or after one another.
pub(super) const WHEN_LOOPS_MAX: u32 = 2;
/// Argument values that a `when` looks at.
pub(super) const WHEN_VALUES_MAX: u64 = 100_000;
/// Argument values, to the power of the comprehensions around each other: what one `when` of possibly many goes through.
pub(super) const WHEN_VISITS_MAX: u64 = 20_000;
/// Arguments that a `when` with comprehensions looks at.
pub(super) const WHEN_LOOP_ARGUMENT_BYTES_MAX: usize = 64 * 1024;
/// Nesting of arguments that a `when` looks at.
pub(super) const WHEN_ARGUMENT_DEPTH_MAX: usize = 128;
/// Steps of one evaluation of a `when` that can multiply or add up values, estimated from above; a step is some nanoseconds.
pub(super) const WHEN_STEPS_MAX: u64 = 8_000_000;
/// Windows of the schedule of a rule.
pub(super) const SCHEDULE_WINDOWS_MAX: usize = 64;
