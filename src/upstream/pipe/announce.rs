//! A conversation with sessions as somebody who announces: on the stream that is there anyway.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Pipe, PipeCall};
use crate::mcp::{Outgoing, Reply, dialect};
use crate::upstream::feed::{Announcer, Feed, Tended};
use crate::upstream::shared::Shared;
use crate::upstream::wire::Facts;
use crate::vocab::Fault;

/// The announcing side of a conversation.
pub(in crate::upstream) struct OverPipe(pub(in crate::upstream) Arc<dyn Pipe>);

impl Announcer for OverPipe {
    fn feed(&self) -> &Feed {
        &self.0.talk().feed
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.talk().shared
    }

    fn facts(&self) -> Result<Facts, Fault> {
        self.0.talk().facts()
    }

    fn ask(self: Arc<Self>, out: Outgoing) -> BoxFuture<'static, Result<Reply, Fault>> {
        async move {
            let talk = self.0.talk();
            let id = talk.next_id();
            let question = dialect::lower_request(talk.revision(), &out, id);
            PipeCall::ask(Arc::clone(&self.0), id, question).await?.reply().await
        }
        .boxed()
    }

    fn tend(self: Arc<Self>) -> BoxFuture<'static, Option<Tended>> {
        std::future::ready(None).boxed()
    }
}
