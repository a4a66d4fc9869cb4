//! The console: pages made by the server, for people who decide and people who look. They work without the script; with it, what is
//! shown stays true without being loaded again.

mod access;
mod activity;
mod approvals;
mod assets;
mod audit;
mod charts;
mod entrance;
mod lease;
mod policy;
mod request;
mod screen;
mod tools;
mod upstreams;

pub(super) use entrance::{entrance, not_signed_in};

use super::office::Asked;
use super::problem::Problem;
use super::routes::{Act, HOME_PATH, Sight};
use crate::web::PageAnswer;

/// Answers a request for a page by somebody who may see it.
pub(super) async fn answer(asked: &Asked<'_>, act: Act) -> Result<PageAnswer, Problem> {
    let sight = match act {
        Act::Page(sight) => sight,
        Act::WithdrawForm => return request::withdrawn(asked).await,
        _ => return request::decided(asked).await,
    };
    match sight {
        Sight::Home => Ok(PageAnswer::see_other(&asked.office.site.url(HOME_PATH))),
        Sight::Approvals => approvals::page(asked),
        Sight::Approval => request::page(asked).await,
        Sight::Leases => Ok(lease::page(asked)),
        Sight::Activity => Ok(activity::page(asked)),
        Sight::Record => activity::story(asked),
        Sight::Tools => Ok(tools::page(asked)),
        Sight::Access => access::page(asked),
        Sight::Upstreams => Ok(upstreams::page(asked)),
        Sight::Policy => Ok(policy::page(asked)),
        Sight::Audit => Ok(audit::page(asked)),
        Sight::Style => Ok(assets::style()),
        Sight::Script => Ok(assets::script()),
    }
}
