//! Answers of upstreams.

use bytes::Bytes;
use portcullis::mcp::dialect::{self, Context, LoweredReply, lower_reply};
use portcullis::mcp::{Incoming, Method, RawId, Reply, ServerCapabilities, ServerInfo, incoming};
use portcullis::vocab::Revision;
use serde_json::Value;

use crate::generate::Generator;
use crate::random::Random;
use crate::rounds;
use crate::schema;
use crate::text::{Json, member, members};

const SERVER: ServerInfo = ServerInfo { name: "gw", version: "1" };
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// The results of servers, and a method that each answers.
const RESULTS: &[(&str, Method)] = &[
    ("Result", Method::SetLevel),
    ("InitializeResult", Method::Initialize),
    ("DiscoverResult", Method::Discover),
    ("ListToolsResult", Method::ToolsList),
    ("CallToolResult", Method::ToolsCall),
    ("InputRequiredResult", Method::ToolsCall),
    ("ListPromptsResult", Method::PromptsList),
    ("GetPromptResult", Method::PromptsGet),
    ("ListResourcesResult", Method::ResourcesList),
    ("ListResourceTemplatesResult", Method::ResourceTemplatesList),
    ("ReadResourceResult", Method::ResourcesRead),
    ("CompleteResult", Method::Complete),
    ("SubscriptionsListenResult", Method::Listen),
    ("GetTaskResult", Method::TasksGet),
    ("GetTaskPayloadResult", Method::TasksResult),
    ("ListTasksResult", Method::TasksList),
    ("CancelTaskResult", Method::TasksCancel),
];

/// Those that every revision has in a form of its own.
const TRANSLATED: &[Method] = &[
    Method::ToolsList,
    Method::ToolsCall,
    Method::PromptsList,
    Method::PromptsGet,
    Method::ResourcesList,
    Method::ResourceTemplatesList,
    Method::ResourcesRead,
    Method::Complete,
];

const CACHEABLE: &[Method] = &[
    Method::Discover,
    Method::ToolsList,
    Method::PromptsList,
    Method::ResourcesList,
    Method::ResourceTemplatesList,
    Method::ResourcesRead,
];

fn is_modern(revision: Revision) -> bool {
    dialect::of(revision).context == Context::Request
}

fn results(revision: Revision) -> Vec<(&'static str, Method)> {
    let find = |name| *RESULTS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{revision}: {name}"));
    schema::union(revision, "ServerResult").into_iter().map(find).collect()
}

/// A result as a server sends it, and its text.
fn result(revision: Revision, name: &str, random: &mut Random) -> String {
    let mut generator = Generator::new(revision, random);
    let mut result = generator.named(name);
    if is_modern(revision) {
        let kind = if name == "InputRequiredResult" { "input_required" } else { "complete" };
        result.set("resultType", Json::string(kind));
        // The schema leaves both out; the specification wants one (2026-07-28, mrtr).
        if name == "InputRequiredResult" && result.member("inputRequests").is_none() {
            result.set("requestState", Json::string("s"));
        }
    }
    let random = generator.random;
    random.shuffle(result.members());
    result.write(random)
}

fn lift(revision: Revision, result: &str, random: &mut Random) -> (RawId, Reply) {
    let id = random.pick(&["1", "\"a\\u0062\"", "9007199254740993", "-7", "\"1\""]);
    let mut parts = ["\"jsonrpc\":\"2.0\"".to_owned(), format!("\"id\": {id}"), format!("\"result\":{result}")];
    random.shuffle(&mut parts);
    let message = format!("{{{}}}", parts.join(","));
    let mut lifted = incoming::parse(&Bytes::from(message.clone()), revision, 64).unwrap_or_else(|e| panic!("{e}: {message}"));
    match lifted.pop() {
        Some(Incoming::Response { id: read, reply }) if lifted.is_empty() && read.as_str() == id => (read, reply),
        other => panic!("{other:?}: {message}"),
    }
}

/// What must come of a result in its own revision.
fn expected(revision: Revision, method: Method, result: &str) -> Vec<(String, String)> {
    let (mut head, mut body, mut meta, mut hints) = (Vec::new(), Vec::new(), Vec::new(), [None, None]);
    for (key, value) in members(result) {
        match key.as_str() {
            "_meta" => meta = members(&value),
            "resultType" if is_modern(revision) => head.push((key, value)),
            "ttlMs" if is_modern(revision) => hints[0] = Some((key, value)),
            "cacheScope" if is_modern(revision) => hints[1] = Some((key, value)),
            _ => body.push((key, value)),
        }
    }
    meta.retain(|(key, _)| key != SERVER_INFO);
    if is_modern(revision) {
        meta.push((SERVER_INFO.to_owned(), r#"{"name":"gw","version":"1"}"#.to_owned()));
    }
    head.extend(body);
    if CACHEABLE.contains(&method) {
        head.extend(hints.into_iter().flatten());
    }
    if !meta.is_empty() {
        let meta: Vec<String> = meta.iter().map(|(k, v)| format!("{}:{v}", serde_json::to_string(k).unwrap())).collect();
        head.push(("_meta".to_owned(), format!("{{{}}}", meta.join(","))));
    }
    head
}

/// `_meta` is put together anew: its members are compared, not its blanks and the spelling of its keys.
fn compared(mut result: Vec<(String, String)>) -> Vec<(String, String)> {
    for (key, value) in &mut result {
        if key == "_meta" {
            *value = format!("{:?}", members(value));
        }
    }
    result
}

#[test]
fn results_come_back_in_their_revision() {
    rounds(|revision, random, at| {
        for (name, method) in results(revision) {
            let result = result(revision, name, random);
            let (id, reply) = lift(revision, &result, random);
            let LoweredReply { status, body } = lower_reply(revision, method, &id, &reply, &SERVER);
            let body = String::from_utf8(body).unwrap();
            assert_eq!((status, member(&body, "id").as_deref()), (200, Some(id.as_str())), "{at}: {body}");
            let said = member(&body, "result").unwrap_or_else(|| panic!("{at}: {name}: {body}"));
            assert_eq!(compared(members(&said)), compared(expected(revision, method, &result)), "{at}: {name}: {result}");
        }
    });
}

#[test]
fn results_are_what_every_other_revision_allows() {
    // How often a revision would not have allowed what was said in another.
    let mut foreign = [0_u32; Revision::ALL.len()];
    rounds(|revision, random, at| {
        for (name, method) in results(revision).into_iter().filter(|(_, method)| TRANSLATED.contains(method)) {
            let result = result(revision, name, random);
            let (id, reply) = lift(revision, &result, random);
            let sent: Value = serde_json::from_str(&result).unwrap();
            for (n, to) in Revision::ALL.into_iter().enumerate() {
                foreign[n] += u32::from(schema::of(to).contains_key(name) && schema::check(to, name, &sent).is_err());
                let body = lower_reply(to, method, &id, &reply, &SERVER).body;
                let message: Value = serde_json::from_slice(&body).unwrap();
                if name == "InputRequiredResult" && is_modern(to) {
                    schema::check(to, name, &message["result"]).unwrap_or_else(|why| panic!("{at} to {to}: {why}"));
                    continue;
                }
                let (name, _) = RESULTS.iter().find(|(_, known)| *known == method).unwrap();
                schema::check(to, name, &message["result"]).unwrap_or_else(|why| panic!("{at} to {to}: {why}: {result}"));
                // What was said in the words of a revision needs no other words there.
                let again = incoming::parse(&Bytes::from(body.clone()), to, 64).unwrap().remove(0);
                let Incoming::Response { id, reply } = again else { panic!("{at}") };
                let again = lower_reply(to, method, &id, &reply, &SERVER).body;
                assert_eq!(String::from_utf8(again), String::from_utf8(body), "{at} to {to}");
            }
        }
    });
    assert!(foreign.iter().all(|times| *times > 10), "{foreign:?}");
}

#[test]
fn the_generator_makes_what_the_schemas_allow() {
    rounds(|revision, random, at| {
        for (name, _) in results(revision) {
            let result: Value = serde_json::from_str(&result(revision, name, random)).unwrap();
            schema::check(revision, name, &result).unwrap_or_else(|why| panic!("{at}: {why}"));
        }
    });
}

#[test]
fn errors_come_back_in_their_revision() {
    rounds(|revision, random, at| {
        let mut generator = Generator::new(revision, random);
        let data = generator.free(3);
        let random = generator.random;
        let code = random.pick(&["-32700", "-32600", "-32602", "-32603", "-31000", "0", "1", "-1", "7000000000"]);
        let message = random.pick(&["\"\"", "\"no\"", "\"l\\u00ednea\\n\""]);
        let with_data = random.one_in(2);
        let data = if with_data { format!(",\"data\":{}", data.write(random)) } else { String::new() };
        let sent = format!("{{\"code\":{code},\"message\":{message}{data}}}");
        let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{sent}}}");
        let lifted = incoming::parse(&Bytes::from(text), revision, 64).unwrap().remove(0);
        let Incoming::Response { id, reply } = lifted else { panic!("{at}") };
        let lowered = lower_reply(revision, Method::ToolsCall, &id, &reply, &SERVER);
        let said = members(&member(std::str::from_utf8(&lowered.body).unwrap(), "error").unwrap());
        let meaning = |error: &[(String, String)]| -> Vec<(String, Value, String)> {
            let read = |(key, value): &(String, String)| {
                let exact = if key == "data" { value.clone() } else { String::new() };
                (key.clone(), serde_json::from_str(value).unwrap(), exact)
            };
            error.iter().map(read).collect()
        };
        assert_eq!(lowered.status, 200);
        assert_eq!(meaning(&said), meaning(&members(&sent)), "{at}");
    });
}

#[test]
fn the_gateway_says_of_itself_what_each_revision_allows() {
    let some = ServerCapabilities { tools: true, prompts: true, ..ServerCapabilities::default() };
    let all = ServerCapabilities { resources: true, resources_subscribe: true, completions: true, logging: true, ..some };
    for (revision, capabilities) in Revision::ALL.into_iter().flat_map(|r| [some, all].map(|c| (r, c))) {
        let (method, name, body) = if is_modern(revision) {
            (Method::Discover, "DiscoverResult", dialect::discover_result(&Revision::ALL, &capabilities, &SERVER))
        } else {
            (Method::Initialize, "InitializeResult", dialect::initialize_result(revision, &capabilities, &SERVER, Some("how")))
        };
        let said = lower_reply(revision, method, &RawId::number(1), &Reply::Result(body), &SERVER).body;
        let said: Value = serde_json::from_slice(&said).unwrap();
        schema::check(revision, name, &said["result"]).unwrap_or_else(|why| panic!("{revision}: {why}"));
        let named = said["result"]["capabilities"].as_object().unwrap();
        let known = &schema::of(revision)["ServerCapabilities"]["properties"];
        assert!(named.keys().all(|key| known.get(key).is_some()), "{revision}: {named:?}");
    }
}
