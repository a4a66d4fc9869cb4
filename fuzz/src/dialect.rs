//! What must hold of messages, whoever wrote them: what is accepted can be said in every revision, is understood there as it was
//! meant, and is said the same way again.

use bytes::Bytes;
use portcullis::mcp::dialect::{
    Operation, Question, input_request, lift_request, lower_log, lower_progress, lower_question, lower_question_result,
    lower_reply, lower_request,
};
use portcullis::mcp::{
    Body, Incoming, LogLevel, Message, Method, Notification, Outcome, Outgoing, RawId, RawJson, Reply, ResultBody, ServerInfo,
    Shape, decode, incoming, list, rewrite,
};
use portcullis::vocab::Revision;

/// How deep what comes may be nested; what is said may be a little deeper.
const DEPTH_MAX: usize = 32;
const BYTES_MAX: usize = 64 * 1024;
const SERVER: ServerInfo = ServerInfo { name: "gw", version: "1" };

/// What the first byte of an input chooses: which request an answer belongs to.
const METHODS: [Method; 13] = [
    Method::ToolsCall,
    Method::ToolsList,
    Method::PromptsGet,
    Method::PromptsList,
    Method::ResourcesRead,
    Method::ResourcesList,
    Method::ResourceTemplatesList,
    Method::Complete,
    Method::Discover,
    Method::ResourcesSubscribe,
    Method::TasksGet,
    Method::TasksResult,
    Method::SetLevel,
];

/// Any bytes as a message of an upstream, which answers what the first byte says, and as a message of a client.
pub fn dialect(data: &[u8]) {
    let Some((first, text)) = data.split_first().filter(|(_, text)| text.len() <= BYTES_MAX) else { return };
    let method = METHODS[usize::from(*first) % METHODS.len()];
    let text = Bytes::copy_from_slice(text);
    for revision in Revision::ALL {
        for message in incoming::parse(&text, revision, DEPTH_MAX).unwrap_or_default() {
            of_upstream(revision, method, &message);
        }
    }
    let messages = match decode(&text, DEPTH_MAX) {
        Ok(Body::Single(message)) => vec![*message],
        Ok(Body::Batch(messages)) => messages,
        Err(error) => {
            json(error.to_json());
            return;
        }
    };
    for message in messages {
        of_client(&message);
    }
}

fn json(text: Vec<u8>) -> RawJson {
    let shown = String::from_utf8_lossy(&text).into_owned();
    RawJson::parse(Bytes::from(text), 2 * DEPTH_MAX).unwrap_or_else(|error| panic!("{error}: {shown}"))
}

/// The one message of a text that was said in `revision`.
fn heard(revision: Revision, text: &[u8]) -> Incoming {
    let shown = String::from_utf8_lossy(text);
    let mut messages = incoming::parse(&Bytes::copy_from_slice(text), revision, 2 * DEPTH_MAX)
        .unwrap_or_else(|error| panic!("{revision}: {error}: {shown}"));
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

fn of_upstream(revision: Revision, method: Method, message: &Incoming) {
    match message {
        Incoming::Response { id, reply } => {
            for to in Revision::ALL {
                answered(to, method, id, reply);
            }
            if let Reply::Result(body) = reply {
                prefixed(revision, method, id, body);
            }
        }
        Incoming::Notification(Notification::Progress { token, members }) => {
            let said = lower_progress(revision, token, members);
            let Incoming::Notification(Notification::Progress { token, members }) = heard(revision, &said) else { panic!() };
            assert_eq!(lower_progress(revision, &token, &members), said);
        }
        Incoming::Notification(Notification::Log { params, level }) => {
            let said = lower_log(revision, params);
            let Incoming::Notification(Notification::Log { params, level: again }) = heard(revision, &said) else { panic!() };
            assert_eq!((lower_log(revision, &params), again), (said, *level));
        }
        Incoming::Request { method, params, .. } => {
            if let Some(question) = Question::of("up", method, params.clone()) {
                questioned(method, &question);
            }
        }
        Incoming::Notification(_) | Incoming::Orphan(_) => {}
    }
}

fn questioned(method: &str, question: &Question) {
    json(input_request(question).as_bytes().to_vec());
    for to in Revision::ALL {
        let Some(said) = lower_question(to, &RawId::number(1), question) else { continue };
        json(said.clone());
        match heard(to, &said) {
            Incoming::Request { method: again, .. } => assert_eq!(again, method),
            // Servers without sessions do not ask so.
            other => assert!(to > Revision::NEWEST_WITH_SESSIONS, "{other:?}"),
        }
    }
}

fn answered(to: Revision, method: Method, id: &RawId, reply: &Reply) {
    let said = lower_reply(to, method, id, reply, &SERVER).body;
    json(said.clone());
    let Incoming::Response { id: again, reply } = heard(to, &said) else { panic!() };
    assert_eq!(&again, id);
    let twice = lower_reply(to, method, &again, &reply, &SERVER).body;
    assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&said), "{to} {method}");
}

/// On a prefixing route.
fn prefixed(revision: Revision, method: Method, id: &RawId, body: &ResultBody) {
    let mut body = body.clone();
    rewrite::prefix_uris(method, &mut body, "up");
    for item in list::items(method, &body).unwrap_or_default().items {
        let published = rewrite::published(&item, "up", "up__\"x");
        json(published.as_bytes().to_vec());
    }
    answered(revision, method, id, &Reply::Result(body));
}

fn of_client(message: &Message) {
    match (message.shape, &message.outcome) {
        (Shape::Response, Some(Outcome::Result(result))) => {
            for to in Revision::ALL {
                if let Some(said) = lower_question_result(to, result) {
                    assert_eq!(lower_question_result(to, &json(said.as_bytes().to_vec())), Some(said));
                }
            }
        }
        (Shape::Request, _) => {
            for revision in Revision::ALL {
                match lift_request(revision, message.clone()) {
                    Ok(operation) => asked(revision, &operation),
                    Err(error) => drop(json(error.to_json())),
                }
            }
        }
        _ => {}
    }
}

fn asked(revision: Revision, operation: &Operation) {
    let ends_here = matches!(
        operation.method,
        Method::Initialize
            | Method::Listen
            | Method::TasksGet
            | Method::TasksResult
            | Method::TasksList
            | Method::TasksUpdate
            | Method::TasksCancel
    );
    if ends_here {
        return;
    }
    let said = lower_request(revision, &echo(operation), 7);
    let Ok(Body::Single(message)) = decode(&Bytes::from(said.body), 2 * DEPTH_MAX) else { panic!() };
    let again = lift_request(revision, *message).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(summary(&again), summary(operation), "{revision}");
}

/// Every member that can go on to an upstream.
fn echo(operation: &Operation) -> Outgoing {
    let params = &operation.params;
    Outgoing {
        name: params.name.clone(),
        uri: params.uri.clone(),
        arguments: params.arguments.clone(),
        cursor: params.cursor.clone(),
        reference: params.reference.clone(),
        argument: params.argument.clone(),
        context: params.context.clone(),
        level: params.level.as_deref().and_then(LogLevel::parse),
        input_responses: params.input_responses.clone(),
        request_state: params.request_state.clone(),
        client_capabilities: operation.client_capabilities.clone().unwrap_or_else(|| RawJson::of_static("{}")),
        log_level: operation.log_level,
        wants_progress: operation.wants_progress.is_some(),
        ..Outgoing::new(operation.method)
    }
}

fn summary(operation: &Operation) -> String {
    let params = &operation.params;
    let raw = |value: &Option<RawJson>| value.as_ref().map(|value| value.as_str().to_owned());
    let texts = (&params.name, &params.uri, &params.cursor, &params.reference, &params.request_state);
    let values = (raw(&params.arguments), raw(&params.argument), raw(&params.context), raw(&params.input_responses));
    // A level that is none is refused where it matters, and otherwise left out.
    let level = params.level.as_deref().and_then(LogLevel::parse);
    format!("{} {texts:?} {values:?} {level:?} {:?}", operation.method, operation.log_level)
}
