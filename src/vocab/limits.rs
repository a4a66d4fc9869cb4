//! Every bound in the program that is not a setting, in one place. Units come last in the names.

mod admin;
mod approvals;
mod places;
mod telemetry;

pub use admin::*;
pub use approvals::*;
pub use places::*;
pub use telemetry::*;

/// Header fields of one request. HTTP/1.1 has the default bound of hyper, which is the same.
pub const HEADER_COUNT_MAX: usize = 100;
/// Request line and header fields together.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Time for a TLS handshake.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 5_000;
/// HTTP/2 streams of one connection.
pub const H2_STREAMS_MAX: u32 = 100;
/// HTTP/2 header list.
pub const H2_HEADER_LIST_BYTES_MAX: u32 = 32 * 1024;
/// Members of one JSON object in a message.
pub const JSON_MEMBERS_MAX: usize = 65_536;
/// Length of a JSON-RPC id, as raw token.
pub const RPC_ID_BYTES_MAX: usize = 256;
/// Length of a tool or prompt name a client may send.
pub const NAME_BYTES_MAX: usize = 256;
/// Length of a resource URI a client may send.
pub const URI_BYTES_MAX: usize = 8 * 1024;
/// Length of a cursor a client or an upstream may send.
pub const CURSOR_BYTES_MAX: usize = 8 * 1024;
/// Length of a `requestState` a client may send.
pub const REQUEST_STATE_BYTES_MAX: usize = 1024 * 1024;
/// Length of a `tracestate` that is passed on (W3C Trace Context, section 3.3.1.5).
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// Length of a protocol word a client may send: a revision, a log level, a kind of reference.
pub const WORD_BYTES_MAX: usize = 64;
/// Arguments of one tool that headers mirror.
pub const MIRRORED_PARAMS_MAX: usize = 32;
/// Length of the text of an upstream's error that is kept.
pub const RPC_MESSAGE_BYTES_MAX: usize = 1024;
/// Entries of a JSON-RPC batch (2025-03-26 only).
pub const BATCH_ENTRIES_MAX: usize = 32;
/// Length of an access token.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Verified credentials remembered.
pub const TOKEN_CACHE_ENTRIES_MAX: u64 = 10_000;
/// Size of a JWKS document.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Keys of a JWKS document.
pub const JWKS_KEYS_MAX: usize = 100;
/// Size of a file referenced as `${file:PATH}`, or of a secret.
pub const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Size of a config or policy file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Audit records waiting for the writer.
pub const AUDIT_QUEUE_RECORDS_MAX: usize = 8_192;
/// Time an intent may take to be as durable as configured, unless the config says otherwise.
pub const AUDIT_INTENT_MS: u64 = 2_000;
/// Time a record that nobody waits for may lie before it is written.
pub const AUDIT_COALESCE_MS_MAX: u64 = 2;
/// Records written with one write(2).
pub const AUDIT_BATCH_RECORDS_MAX: usize = 512;
/// Arguments kept with a draft until the writer digests them; longer ones are digested at once.
pub const AUDIT_ARGUMENTS_BYTES_MAX: usize = 2 * 1024;
/// JSON-RPC id, method or route in a record.
pub const AUDIT_ID_BYTES_MAX: usize = 128;
/// Issuer, subject, client, group, scope, rule or upstream in a record.
pub const AUDIT_NAME_BYTES_MAX: usize = 256;
/// Name or URI of the target in a record.
pub const AUDIT_URI_BYTES_MAX: usize = 2 * 1024;
/// Groups, scopes or rules listed in a record.
pub const AUDIT_LIST_ENTRIES_MAX: usize = 64;
/// Recorded argument values of one record.
pub const AUDIT_FIELDS_MAX: usize = 16;
/// One recorded argument value.
pub const AUDIT_FIELD_BYTES_MAX: usize = 2 * 1024;
/// How far from its end an audit file is searched for a checkpoint: several times what can be between two of them.
pub const AUDIT_TAIL_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Audit records, in bytes, that may be written without being on disk, and without a checkpoint.
pub const AUDIT_UNSYNCED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Audit records that may be written without being on disk.
pub const AUDIT_UNSYNCED_RECORDS_MAX: u64 = 1_000;
/// One server-sent event from an upstream; the response limit of the config applies to the sum.
pub const SSE_EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages of one upstream stream before its answer.
pub const STREAM_MESSAGES_MAX: u64 = 100_000;
/// Pages followed when an upstream's list is read.
pub const LIST_PAGES_MAX: usize = 100;
/// Items taken from an upstream's list.
pub const LIST_ITEMS_MAX: usize = 10_000;
/// Bytes of one upstream's list, all pages together.
pub const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Public name of a tool or prompt.
pub const PUBLIC_NAME_BYTES_MAX: usize = 64;
/// Distinct limiter keys kept.
pub const LIMITER_KEYS_MAX: u64 = 100_000;
/// Largest number of calls a limit counts one by one; larger limits are smoothed.
pub const LIMITER_EXACT_CALLS_MAX: u32 = 100;
/// Slices of the window of a limit on bytes or tokens: it forgets what was delivered later than it could, by at most one of them.
pub const LIMITER_VOLUME_SLICES_MAX: u64 = 64;
/// Groups of one principal that a limit by group counts for.
pub const LIMITER_GROUPS_MAX: usize = 256;
/// Distinct label sets of one metric; further ones are counted under `other`.
pub const METRIC_SERIES_MAX: usize = 10_000;
/// Idle connections kept to one upstream.
pub const UPSTREAM_IDLE_CONNECTIONS_MAX: usize = 256;
/// Connections open to one upstream.
pub const UPSTREAM_CONNECTIONS_MAX: usize = 1_024;
/// Views (principal at an upstream) kept.
pub const VIEWS_MAX: u64 = 20_000;
/// Bytes of all lists that are kept, of all views together.
pub const CATALOG_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Time after which an unused view is forgotten.
pub const VIEW_IDLE_S_MAX: u64 = 30 * 60;
/// Longest time an upstream's own freshness hint is believed.
pub const LIST_FRESH_MS_MAX: u64 = 300_000;
/// Age up to which a known list serves calls without being read again.
pub const LIST_KNOWN_S_MAX: u64 = 60;
/// Age up to which a known list serves calls while it is read again behind them; an older one decides nothing any more.
pub const LIST_OLD_S_MAX: u64 = 600;
/// Age after which a known list no longer stands in for an upstream that cannot be asked.
pub const LIST_STALE_S_MAX: u64 = 3_600;
/// How often a list is read again at once because it changed while it was read.
pub const LIST_REREADS_MAX: usize = 2;
/// Time to wait for a list of which nothing is known yet (a process may have to start).
pub const LIST_FIRST_MS_MAX: u64 = 10_000;
/// Time to wait for a list before the last known one is served.
pub const LIST_READ_MS_MAX: u64 = 3_000;
/// Items on one page of a list sent to a client.
pub const LIST_PAGE_ITEMS_MAX: usize = 500;
/// Life of a sealed `requestState`.
pub const REQUEST_STATE_S_MAX: u64 = 3_600;
/// Life of a sealed cursor.
pub const CURSOR_S_MAX: u64 = 3_600;
/// Life of a sealed legacy session.
pub const SESSION_S_MAX: u64 = 7 * 24 * 3_600;
/// Entries of a legacy session's local state (log levels, ended sessions).
pub const SESSION_STATES_MAX: u64 = 100_000;
/// Length of a task's id that a client may send: one of ours.
pub const TASK_ID_BYTES_MAX: usize = 2 * 1024;
/// Length of an upstream's own id of a task.
pub const TASK_OWN_ID_BYTES_MAX: usize = 512;
/// Life of a task's id, whatever its upstream says of the task.
pub const TASK_S_MAX: u64 = 7 * 24 * 3_600;
/// Least time between two looks at a task that the gateway waits for.
pub const TASK_POLL_MS_MIN: u64 = 200;
/// Time between two looks where the upstream says nothing.
pub const TASK_POLL_MS: u64 = 1_000;
/// Longest time between two looks.
pub const TASK_POLL_MS_MAX: u64 = 10_000;
/// Looks at a task in a row that may fail for want of a connection.
pub const TASK_LOOKS_LOST_MAX: u32 = 3;
/// Time to tell an upstream that nobody waits for a task any more.
pub const TASK_CANCEL_MS_MAX: u64 = 2_000;
/// Time a graceful stop waits for calls under way.
pub const DRAIN_MS_MAX: u64 = 30_000;
/// Events of a streamed answer waiting for a slow reader.
pub const REPLY_EVENTS_MAX: usize = 64;
/// Time between keep-alive comments on an event stream.
pub const STREAM_KEEPALIVE_MS: u64 = 15_000;
/// Time to connect to an upstream, TLS included.
pub const UPSTREAM_CONNECT_MS_MAX: u64 = 3_000;
/// How long an idle connection to an upstream is kept.
pub const UPSTREAM_IDLE_MS_MAX: u64 = 30_000;
/// Bytes read and thrown away after an upstream's answer so that its connection can be used again.
pub const UPSTREAM_TAIL_BYTES_MAX: usize = 64 * 1024;
/// How long the end of an answered stream is waited for before its connection is given up.
pub const UPSTREAM_TAIL_MS_MAX: u64 = 1_000;
/// Failures in a row after which an upstream is left alone for a while.
pub const BREAKER_FAILURES_MAX: u32 = 5;
/// Longest pause before a failing upstream is tried again.
pub const BREAKER_PAUSE_MS_MAX: u64 = 30_000;
/// How long the finding that an upstream speaks with or without sessions is trusted.
pub const ERA_MS_MAX: u64 = 600_000;
/// How long an unused session with an upstream is kept.
pub const UPSTREAM_SESSION_IDLE_MS_MAX: u64 = 600_000;
/// Length of an upstream's session id.
pub const UPSTREAM_SESSION_ID_BYTES_MAX: usize = 256;
/// How long an unused process is kept.
pub const PROCESS_IDLE_MS_MAX: u64 = 900_000;
/// How long a process may be silent on `server/discover` before it is taken for one that wants `initialize`.
pub const PROCESS_DISCOVER_MS_MAX: u64 = 3_000;
/// How long a process may take to end after its input was closed, and again after it was told to.
pub const PROCESS_STOP_MS_MAX: u64 = 2_000;
/// Messages waiting to be written to a process.
pub const PROCESS_QUEUE_MESSAGES_MAX: usize = 64;
/// Messages of a process waiting to be read by one call.
pub const CALL_QUEUE_MESSAGES_MAX: usize = 64;
/// Lines of a process that are no messages, before it is stopped.
pub const PROCESS_BAD_LINES_MAX: u32 = 100;
/// Length of a line of a process's error output that is logged.
pub const PROCESS_STDERR_LINE_BYTES_MAX: usize = 4 * 1024;
/// Requests an upstream may send us while it answers one call.
pub const UPSTREAM_QUESTIONS_MAX: u32 = 100;
/// Cancellations, refusals and farewells under way to all upstreams together.
pub const UPSTREAM_ERRANDS_MAX: usize = 256;
/// Time for one of them.
pub const UPSTREAM_ERRAND_MS_MAX: u64 = 2_000;
/// Questions of one call that wait for the client at once; further ones are refused.
pub const CALL_QUESTIONS_MAX: usize = 8;
/// How long a call that may be asked something on a stream of many calls waits for another such call to be over.
pub const ASK_TURN_MS_MAX: u64 = 2_000;
/// How long a question that could be of several calls is held, until those that did not ask are over.
pub const HELD_QUESTION_MS_MAX: u64 = 3_000;
/// Time that people may take, all questions of one call together. It does not count as the upstream's.
pub const QUESTION_MS_MAX: u64 = 300_000;
/// How long a call that people approved waits for an answer to its server before it needs another approval to go on.
pub const SEQUEL_S_MAX: u64 = 300;
/// Approved calls that wait for such an answer.
pub const SEQUELS_MAX: usize = 10_000;
/// Rounds of questions of one call whose upstream asks in results.
pub const ROUNDS_MAX: u32 = 8;
/// Calls of one principal whose questions the gateway puts to older clients itself, round by round.
pub const ROUNDS_PER_PRINCIPAL_MAX: usize = 16;
/// Pause before an upstream that asked nothing, but wants to be called again, is.
pub const ROUND_PAUSE_MS: u64 = 250;
/// How long a call waits for the retry that brings a person's answers.
pub const PARKED_MS_MAX: u64 = 300_000;
/// Calls of one principal that wait so.
pub const PARKED_PER_PRINCIPAL_MAX: usize = 16;
/// Streams of sessions that are open for questions at one upstream: half of its connections for streams. Others are not asked there.
pub const KEPT_STREAMS_MAX: usize = UPSTREAM_CONNECTIONS_MAX / 2;
/// Calls that wait so, of all principals. Each has a connection to its upstream: this is half of those that one upstream may have.
pub const PARKED_MAX: usize = UPSTREAM_CONNECTIONS_MAX / 2;
/// Text of a client's error that an upstream gets to see.
pub const QUESTION_ERROR_BYTES_MAX: usize = 256;
/// Tokens for calls to one upstream that are kept, one per person.
pub const CREDENTIAL_TOKENS_MAX: u64 = 10_000;
/// Time after which a token that nobody uses is forgotten.
pub const CREDENTIAL_IDLE_S_MAX: u64 = 3_600;
/// Time after a failure to get a token in which it is not tried again.
pub const CREDENTIAL_FAILED_MS: u64 = 2_000;
/// Tokens of one person replaced because an upstream refused them, in [`CREDENTIAL_RENEWALS_MS`].
pub const CREDENTIAL_RENEWALS_MAX: u32 = 3;
/// The time in which renewals are counted.
pub const CREDENTIAL_RENEWALS_MS: u64 = 30_000;
/// How often one person's token is asked for with more scopes, in [`CREDENTIAL_STEP_UP_MS`].
pub const CREDENTIAL_STEP_UPS_MAX: u32 = 3;
/// The time in which requests for more scopes are counted.
pub const CREDENTIAL_STEP_UP_MS: u64 = 600_000;
/// How long the metadata of an authorization server is used.
pub const CREDENTIAL_METADATA_MS_MAX: u64 = 600_000;
/// Servers that `init` takes from the files of clients.
pub const INIT_SERVERS_MAX: usize = 64;
/// Servers that `init` asks for their tools at one time.
pub const INIT_CONTACTS_MAX: usize = 8;
/// Time for `init` to start or reach one server.
pub const INIT_CONTACT_MS_MAX: u64 = 30_000;
/// Characters of a tool's own description that `init` writes beside it.
pub const INIT_ABOUT_CHARS_MAX: usize = 100;
/// Jobs waiting for the store's thread.
pub const STORE_QUEUE_JOBS_MAX: usize = 1_024;
/// Length of a key of the store.
pub const STORE_KEY_BYTES_MAX: usize = 1_024;
/// Size of a value of the store.
pub const STORE_VALUE_BYTES_MAX: usize = 256 * 1024;
/// Body of a form or a token request.
pub const FORM_BYTES_MAX: usize = 64 * 1024;
/// Parameters of a form, a token request or an authorization request.
pub const FORM_PARAMETERS_MAX: usize = 64;
/// Length of the query of a page.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;
/// Cookies of one request that are looked at.
pub const COOKIES_MAX: usize = 64;
/// How long a person may take to link an account after a call asked for it: the life of the link and of the question.
pub const LINK_S_MAX: u64 = 600;
/// A `requestState` of an upstream that is kept while a person links an account.
pub const LINK_STATE_BYTES_MAX: usize = 256 * 1024;
/// Links of accounts under way at once, all people together.
pub const LINKS_UNDER_WAY_MAX: u64 = 20_000;
/// Pages for linking an account that one person may look at within [`LINK_S_MAX`]: nobody alone fills [`LINKS_UNDER_WAY_MAX`].
pub const LINK_PAGES_OF_ONE_MAX: u32 = 30;
/// Tokens of people that are held in memory, and for how long after they were last read from the vault.
pub const LINKED_CACHED_MAX: u64 = 20_000;
/// See [`LINKED_CACHED_MAX`].
pub const LINKED_CACHED_S_MAX: u64 = 30;
/// Size of an introspection answer.
pub const INTROSPECTION_BYTES_MAX: usize = 64 * 1024;
/// Questions to one introspection endpoint under way at once.
pub const INTROSPECTIONS_MAX: usize = 32;
/// Time a question waits for its turn.
pub const INTROSPECTION_WAIT_MS_MAX: u64 = 2_000;
/// Actors of one token, one on behalf of the other.
pub const ACTORS_MAX: usize = 8;
/// Resources that one watch of an upstream names.
pub const WATCH_URIS_MAX: usize = 64;
/// Watches of one upstream.
pub const WATCHES_MAX: usize = 1_024;
/// Happenings of one session with an upstream that wait to be read by a watch; one that lags behind is told that it missed some.
pub const WATCH_QUEUE_MAX: usize = 64;
/// One event of a stream on which an upstream only announces.
pub const WATCH_EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Messages read from such a stream in one second; more wait.
pub const WATCH_MESSAGES_PER_S_MAX: u32 = 100;
/// Bytes read from such a stream in one second.
pub const WATCH_BYTES_PER_S_MAX: usize = 4 * 1024 * 1024;
/// Silence after which such a stream is taken for dead and opened anew.
pub const WATCH_SILENCE_MS_MAX: u64 = 15 * 60_000;
/// How long an upstream may take to agree to a watch, and its streams to be opened.
pub const WATCH_OPEN_MS_MAX: u64 = 5_000;
/// First pause before a broken watch is opened anew; it doubles up to [`WATCH_PAUSE_MS_MAX`].
pub const WATCH_PAUSE_MS_MIN: u64 = 500;
/// See [`WATCH_PAUSE_MS_MIN`].
pub const WATCH_PAUSE_MS_MAX: u64 = 60_000;
/// A stream that lived this long was no failure: the pauses start over.
pub const WATCH_STEADY_MS: u64 = 5_000;
/// Resources that a watch subscribes to at one time.
pub const SUBSCRIBES_AT_ONCE_MAX: usize = 8;
/// Length of an event id of an upstream from which a stream is resumed.
pub const EVENT_ID_BYTES_MAX: usize = 1024;
/// How long to wait before a stream is resumed, where the upstream does not say.
pub const RESUME_MS: u64 = 1_000;
/// The shortest wait an upstream can ask for with `retry`.
pub const RESUME_MS_MIN: u64 = 100;
/// The longest.
pub const RESUME_MS_MAX: u64 = 60_000;
/// How often the stream of one call is resumed.
pub const CALL_RESUMES_MAX: u32 = 100;
/// How long an upstream that refuses to be spoken to otherwise may take to say that it has the transport of 2024-11-05.
pub const SSE_PROBE_MS_MAX: u64 = 5_000;
/// Longest life of such a stream; whoever wants to go on listening opens another.
pub const STREAM_S_MAX: u64 = 3_600;
/// Resources that one subscription, or one session, may be told about.
pub const LISTEN_URIS_MAX: usize = 64;
/// How long it may take to find out how the tasks of one client stand that moved at the same time.
pub const FOLLOWED_MS_MAX: u64 = 5_000;
/// Time to learn whether upstreams can tell about the resources of a subscription before it is acknowledged without them.
pub const LISTEN_READY_MS_MAX: u64 = 1_000;
/// Time in which news for one client are gathered before it is told all at once.
pub const NEWS_GATHER_MS: u64 = 100;
/// Time before an upstream that cannot be watched is tried again.
pub const WATCH_AGAIN_MS: u64 = 30_000;
/// Time that a call of a session may take before its answer becomes a stream, where the client takes one.
pub const STREAM_AFTER_MS: u64 = 500;
/// How long a stream that ended, or that nothing came by, can be resumed.
pub const JOURNAL_S_MAX: u64 = 300;
/// Events of one stream that are kept.
pub const JOURNAL_STREAM_EVENTS_MAX: usize = 256;
/// Bytes of the events of one stream that are kept.
pub const JOURNAL_STREAM_BYTES_MAX: usize = 1024 * 1024;
/// Messages of one line of HTTP+SSE, in either direction, whose answers are under way.
pub const LINE_CALLS_MAX: usize = 32;
/// Streams of one session that are kept.
pub const JOURNAL_STREAMS_MAX: usize = 16;
/// Bytes of all streams that are kept.
pub const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of all subscriptions of sessions.
pub const SUBSCRIBED_BYTES_MAX: u64 = 32 * 1024 * 1024;
