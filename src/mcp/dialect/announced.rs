//! What servers announce outside of calls. A revision without sessions ties each announcement to the request that asked for it.

use super::{Context, Dialect};
use crate::mcp::interest::Interest;
use crate::mcp::json::{JsonError, Kind};
use crate::mcp::keys;
use crate::mcp::raw::{RawId, RawJson};
use crate::mcp::reply::{Announced, Listing, Notification};
use crate::vocab::limits::{TASK_OWN_ID_BYTES_MAX, URI_BYTES_MAX, WATCH_URIS_MAX};

/// Reads the notification `method`, if it is an announcement.
pub(super) fn read(method: &str, params: Option<&RawJson>, dialect: &Dialect) -> Result<Option<Notification>, JsonError> {
    let said = match method {
        "notifications/tools/list_changed" => Announced::ListChanged(Listing::Tools),
        "notifications/prompts/list_changed" => Announced::ListChanged(Listing::Prompts),
        "notifications/resources/list_changed" => Announced::ListChanged(Listing::Resources),
        "notifications/resources/updated" => match params.map(uri_of).transpose()?.flatten() {
            Some(uri) => Announced::Updated { uri },
            None => return Ok(None),
        },
        "notifications/tasks" | "notifications/tasks/status" => match params.map(task_of).transpose()?.flatten() {
            // Each form has a name of its own.
            Some(id) if (dialect.context == Context::Request) == (method == "notifications/tasks") => Announced::Task { id },
            _ => return Ok(None),
        },
        "notifications/subscriptions/acknowledged" => match params.map(filter_of).transpose()?.flatten() {
            Some(interest) => Announced::Acknowledged(interest),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let tied = dialect.context == Context::Request;
    Ok(match params.filter(|_| tied).map(subscription_of).transpose()?.flatten() {
        Some(subscription) => Some(Notification::Subscribed { subscription, said }),
        None => match said {
            Announced::ListChanged(listing) => Some(Notification::ListChanged(listing)),
            Announced::Updated { uri } => Some(Notification::Updated { uri }),
            Announced::Task { id } if !tied => Some(Notification::Task { id }),
            Announced::Task { .. } | Announced::Acknowledged(_) => None,
        },
    })
}

fn uri_of(params: &RawJson) -> Result<Option<String>, JsonError> {
    text_of(params, "uri", URI_BYTES_MAX)
}

fn task_of(params: &RawJson) -> Result<Option<String>, JsonError> {
    text_of(params, "taskId", TASK_OWN_ID_BYTES_MAX)
}

fn text_of(params: &RawJson, name: &str, bytes_max: usize) -> Result<Option<String>, JsonError> {
    let mut text = None;
    params.scanner().object(|scan, key| {
        if key == name && scan.peek()? == Kind::String {
            text = Some(scan.string()?.into_owned()).filter(|text| text.len() <= bytes_max);
        } else {
            scan.value()?;
        }
        Ok(())
    })?;
    Ok(text)
}

fn filter_of(params: &RawJson) -> Result<Option<Interest>, JsonError> {
    let mut filter = None;
    params.scanner().object(|scan, key| {
        let value = scan.value()?;
        if key == "notifications" {
            filter = Some(Interest::parse(&params.part(value), WATCH_URIS_MAX)?);
        }
        Ok(())
    })?;
    Ok(filter)
}

fn subscription_of(params: &RawJson) -> Result<Option<RawId>, JsonError> {
    let mut id = None;
    params.scanner().object(|scan, key| {
        let is_meta = key == "_meta" && scan.peek()? == Kind::Object;
        let value = scan.value()?;
        if is_meta {
            let meta = params.part(value);
            meta.scanner().object(|scan, key| {
                let value = scan.value()?;
                if key == keys::SUBSCRIPTION_ID {
                    id = RawId::of(&meta.part(value));
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::Incoming;
    use crate::mcp::interest::ListSet;
    use crate::vocab::Revision;

    fn notified(revision: Revision, method: &str, params: &str) -> Notification {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{params}}}"#);
        let mut read = super::super::incoming::parse(&bytes::Bytes::from(text), revision, 16).unwrap();
        match read.pop() {
            Some(Incoming::Notification(notification)) => notification,
            other => panic!("{other:?}"),
        }
    }

    const TIED: &str = r#"{"uri":"a:b","taskId":"t","notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/subscriptionId":7}}"#;

    #[test]
    fn an_announcement_names_what_asked_for_it() {
        let new = Revision::V2026_07_28;
        for (method, want) in [
            ("tools/list_changed", Announced::ListChanged(Listing::Tools)),
            ("prompts/list_changed", Announced::ListChanged(Listing::Prompts)),
            ("resources/list_changed", Announced::ListChanged(Listing::Resources)),
            ("resources/updated", Announced::Updated { uri: "a:b".to_owned() }),
            ("tasks", Announced::Task { id: "t".to_owned() }),
            (
                "subscriptions/acknowledged",
                Announced::Acknowledged(Interest { lists: ListSet { tools: true, ..ListSet::NONE }, ..Interest::default() }),
            ),
        ] {
            let Notification::Subscribed { subscription, said } = notified(new, method, TIED) else { panic!("{method}") };
            assert_eq!((subscription.as_u64(), said), (Some(7), want));
        }
    }

    #[test]
    fn without_a_subscription_it_belongs_to_its_stream() {
        for (revision, params) in [(Revision::V2026_07_28, r#"{"uri":"a:b"}"#), (Revision::V2025_11_25, TIED)] {
            let updated = notified(revision, "resources/updated", params);
            assert!(matches!(updated, Notification::Updated { uri } if uri == "a:b"), "{revision}");
            let changed = notified(revision, "tools/list_changed", params);
            assert!(matches!(changed, Notification::ListChanged(Listing::Tools)), "{revision}");
        }
        let status = notified(Revision::V2025_11_25, "tasks/status", TIED);
        assert!(matches!(status, Notification::Task { id } if id == "t"));
        assert!(matches!(notified(Revision::V2025_11_25, "tasks", TIED), Notification::Other(_)));
        for (method, params) in [
            ("tasks", r#"{"taskId":"t"}"#.to_owned()),
            ("tasks/status", TIED.to_owned()),
            ("tasks", TIED.replace("\"t\"", "1")),
            ("resources/updated", "{}".to_owned()),
            ("resources/updated", r#"{"uri":1}"#.to_owned()),
            ("resources/updated", format!(r#"{{"uri":"{}"}}"#, "x".repeat(URI_BYTES_MAX + 1))),
            ("subscriptions/acknowledged", r#"{"notifications":{}}"#.to_owned()),
            ("subscriptions/acknowledged", "{}".to_owned()),
        ] {
            let read = notified(Revision::V2026_07_28, method, &params);
            assert!(matches!(read, Notification::Other(_)), "{method}");
        }
    }
}
