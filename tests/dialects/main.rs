//! Every message that the official schemas allow, through the dialects: `lower(lift(x)) = x` in its own revision, and a message
//! that the other revision allows in every other one.
//!
//! Equal means: the members of what is compared are the same, in the same order where the table says so, under names that mean
//! the same, and each value is the same byte for byte. What the gateway writes itself is no part of it:
//!
//! | message | compared | order | not compared |
//! |---|---|---|---|
//! | result of an upstream | members of `result`, members of its `_meta` | kept; `resultType` comes first, cache hints and `_meta` last | the server's name in `_meta`; an empty `_meta`; cache hints on methods that have none |
//! | error of an upstream | `code`, `message`, `data` | fixed | codes that a revision reserves, which have a table of their own |
//! | notification of an upstream | members of `params` that the revision defines | kept, the token of progress first | `_meta` |
//! | question of an upstream, answer of a client | members of `params` or `result`, members of its `_meta` | kept, `_meta` where it stood | keys of `_meta` that a specification reserves |
//! | request of a client | the members of `params` that its method defines, as far as they go on | fixed | `_meta` but for capabilities and log level, which are compared; the id and the progress token, which are ours |
//!
//! `PORTCULLIS_ROUND_TRIPS` says how many rounds, `PORTCULLIS_ROUND_TRIP_SEED` with which number they begin. A round is a message
//! of every kind in every revision.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod asked;
mod echo;
mod generate;
mod golden;
mod notes;
#[expect(dead_code, reason = "a part of another test")]
#[path = "../policy_model/random.rs"]
mod random;
mod replies;
mod requests;
mod schema;
mod text;

use portcullis::vocab::Revision;
use random::Random;

const ROUNDS_DEFAULT: u64 = 60;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: not a number")))
}

/// Calls `round` with the seed of each round.
fn rounds(mut round: impl FnMut(Revision, &mut Random, &str)) {
    let first = number("PORTCULLIS_ROUND_TRIP_SEED", 0);
    for seed in first..first + number("PORTCULLIS_ROUND_TRIPS", ROUNDS_DEFAULT) {
        for (n, revision) in Revision::ALL.into_iter().enumerate() {
            let mut random = Random::new(seed.wrapping_mul(8).wrapping_add(n as u64));
            round(revision, &mut random, &format!("seed {seed}, {revision}"));
        }
    }
}
