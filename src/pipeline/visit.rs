//! Upstreams that want a page visited first (error -32042 of 2025-11-25): a client of that revision gets the error, a newer one a
//! question per page, and its retry makes the call anew.

use super::ctx::Ctx;
use super::question::sealed;
use super::refusal::Refusal;
use super::route::Target;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::{Operation, Question, input_request};
use crate::mcp::json::{JsonError, push_string};
use crate::mcp::reply::ResultKind;
use crate::mcp::{RawJson, Reply, ResultBody, RpcError, codes, pointer};
use crate::seal::Purpose;
use crate::vocab::Revision;
use crate::vocab::limits::{CALL_QUESTIONS_MAX, REQUEST_STATE_S_MAX, ROUNDS_MAX};

/// What the client is told instead of `error`. `None` where that is no such error, where it names a page that cannot be shown, or
/// where pages are not what this client may be asked to visit: then the call has failed.
///
/// # Errors
/// A fault when the state cannot be sealed.
pub(super) fn asked(ctx: &Ctx, target: &Target, operation: &Operation, error: &RpcError) -> Result<Option<Reply>, Refusal> {
    let granted = ctx.asked.granted.elicitation_url && operation.method.asks_back();
    if error.code != codes::URL_ELICITATION_REQUIRED || !granted {
        return Ok(None);
    }
    let upstream = &target.view.upstream().settings().name;
    let Some(pages) = pages(upstream, error) else { return Ok(None) };
    match operation.revision {
        // Whoever comes back again and again without what the upstream wants is told so.
        Revision::V2026_07_28 if u32::from(ctx.asked.visits) < ROUNDS_MAX => {
            let visits = [ctx.asked.visits.saturating_add(1)];
            let state = sealed(ctx, target, operation, Purpose::Visit, (&visits, REQUEST_STATE_S_MAX))?;
            let name = |at: usize| format!("pq-{}-{at}", uuid::Uuid::now_v7().simple());
            let requests: Vec<_> = pages.iter().enumerate().map(|(at, page)| (name(at), input_request(page))).collect();
            let members = vec![
                (RawJson::of_static("\"inputRequests\""), RawJson::object(&requests)),
                (RawJson::of_static("\"requestState\""), state),
            ];
            Ok(Some(Reply::Result(ResultBody { kind: ResultKind::InputRequired, members, ..ResultBody::default() })))
        }
        Revision::V2025_11_25 => Ok(Some(in_error(upstream, &pages))),
        _ => Ok(None),
    }
}

/// The pages that `data.elicitations` names: what a person needs of each, and nothing else.
fn pages(upstream: &str, error: &RpcError) -> Option<Vec<Question>> {
    const METHOD: &str = "elicitation/create";
    let listed = pointer::at(error.data.as_ref()?, "/elicitations")?;
    let mut pages = Vec::new();
    let read = listed.scanner().array(|scan| {
        let entry = listed.part(scan.value()?);
        let only_pages = ClientCaps { elicitation_url: true, ..ClientCaps::NONE };
        let member = |name: &str| pointer::at(&entry, &format!("/{name}")).map(|value| (name.to_owned(), value));
        let params: Option<Vec<_>> = ["mode", "message", "url"].into_iter().map(member).collect();
        let page = params.map(|params| RawJson::object(&params)).filter(|_| only_pages.cover(METHOD, Some(&entry)));
        let page = page.and_then(|params| Question::of(upstream, METHOD, Some(params)));
        pages.push(page.ok_or(JsonError::Shape("not a page that can be shown"))?);
        Ok(())
    });
    read.ok().map(|_| pages).filter(|pages| !pages.is_empty() && pages.len() <= CALL_QUESTIONS_MAX)
}

/// -32042 in our words.
fn in_error(upstream: &str, pages: &[Question]) -> Reply {
    let mut data = b"{\"elicitations\":[".to_vec();
    for (at, page) in pages.iter().enumerate() {
        if at > 0 {
            data.push(b',');
        }
        let params = pointer::at(&input_request(page), "/params");
        let open = params.as_ref().and_then(|params| params.as_bytes().strip_suffix(b"}"));
        data.extend_from_slice(open.unwrap_or(b"{"));
        data.extend_from_slice(b",\"elicitationId\":");
        push_string(&mut data, &uuid::Uuid::now_v7().to_string());
        data.push(b'}');
    }
    data.extend_from_slice(b"]}");
    let message = format!("{upstream} wants a page visited first: open it, then try again.");
    Reply::Error(RpcError { code: codes::URL_ELICITATION_REQUIRED, message, data: Some(RawJson::of_ours(data)) })
}
