//! Upstreams that make tasks, of both forms, as far as a test says how they go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::peer::{Answer, Seen};

pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// The tasks of one upstream by its own ids: what `tasks/get` says besides the id, and what came of them.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    tasks: Arc<Mutex<BTreeMap<String, Value>>>,
    /// Of new tasks.
    ttl: Arc<Mutex<Value>>,
}

impl Shelf {
    /// Changes members of a task.
    pub(super) fn set(&self, id: &str, change: &Value) {
        let mut tasks = self.tasks.lock();
        let task = tasks.get_mut(id).unwrap();
        for (key, value) in change.as_object().unwrap() {
            task[key] = value.clone();
        }
    }

    /// Knows a task no more.
    pub(super) fn lose(&self, id: &str) {
        self.tasks.lock().remove(id);
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.tasks.lock().keys().cloned().collect()
    }

    pub(super) fn set_ttl(&self, ttl: Value) {
        *self.ttl.lock() = ttl;
    }

    fn make(&self) -> Value {
        let mut tasks = self.tasks.lock();
        let id = format!("own-{}", tasks.len() + 1);
        let task = json!({"status": "working", "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"});
        tasks.insert(id.clone(), task.clone());
        let mut made = task;
        made["taskId"] = id.into();
        made
    }

    fn ttl(&self) -> Value {
        let ttl = self.ttl.lock().clone();
        if ttl == json!("for ever") {
            Value::Null
        } else if ttl.is_null() {
            json!(60_000)
        } else {
            ttl
        }
    }

    /// An upstream without sessions. `job` makes a task of who declares them, `demanding` refuses everybody else.
    pub(super) fn modern(&self, seen: &Seen) -> Answer {
        let request = seen.json();
        let params = &request["params"];
        let declared = params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"][EXTENSION].is_object();
        let id = params["taskId"].as_str().unwrap_or_default();
        let known = self.tasks.lock().get(id).cloned();
        let result = match (seen.rpc().as_str(), known) {
            ("server/discover", _) => json!({
                "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private",
                "capabilities": {"tools": {}, "extensions": {EXTENSION: {}}, "tasks": {"requests": {"tools": {"call": {}}}}}
            }),
            ("tools/list", _) => json!({"tools": tools(&["job", "demanding", "plain", "ask"])}),
            ("tools/call", _) if params["name"] == "demanding" && !declared => {
                let data = json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}});
                return error(&request, 400, &json!({"code": -32021, "message": "canary", "data": data}));
            }
            ("tools/call", _) if declared && params["name"] != "plain" => {
                let mut made = self.make();
                made["resultType"] = "task".into();
                made["ttlMs"] = self.ttl();
                made["pollIntervalMs"] = 200.into();
                made
            }
            ("tools/call", _) => json!({"content": [{"type": "text", "text": "at once"}]}),
            ("tasks/get", Some(mut task)) => {
                task["taskId"] = id.into();
                task["ttlMs"] = self.ttl();
                task["pollIntervalMs"] = 200.into();
                task
            }
            ("tasks/update", Some(_)) => json!({"taskId": id, "status": "canary"}),
            ("tasks/cancel", Some(_)) => {
                self.set(id, &json!({"status": "cancelled"}));
                json!({"taskId": id, "status": "canary"})
            }
            (method, _) if method.starts_with("tasks/") => {
                return error(&request, 200, &json!({"code": -32602, "message": "canary"}));
            }
            _ => return error(&request, 404, &json!({"code": -32601, "message": "Method not found"})),
        };
        let mut result = result;
        if result["resultType"].is_null() {
            result["resultType"] = "complete".into();
        }
        Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
    }

    /// An upstream of 2025-11-25.
    pub(super) fn legacy(&self, seen: &Seen) -> Answer {
        let request = seen.json();
        let params = &request["params"];
        let id = params["taskId"].as_str().unwrap_or_default();
        let known = self.tasks.lock().get(id).cloned();
        let flat = |mut task: Value| {
            task["taskId"] = id.into();
            task["ttl"] = self.ttl();
            task["pollInterval"] = 200.into();
            task.as_object_mut().unwrap().remove("result");
            task
        };
        let result = match (seen.rpc().as_str(), known) {
            ("initialize", _) => {
                let tasks = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
                let capabilities = json!({"tools": {}, "tasks": tasks, "extensions": {EXTENSION: {}}});
                let result = json!({
                    "protocolVersion": "2025-11-25", "serverInfo": {"name": "old", "version": "1"}, "capabilities": capabilities
                });
                let body = json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
                return Answer::Json(200, "mcp-session-id: upstream-session-canary\r\n", body);
            }
            _ if seen.header("mcp-session-id").is_none() => return Answer::Json(400, "", String::new()),
            _ if request.get("id").is_none() => return Answer::Json(202, "", String::new()),
            ("tools/list", _) => {
                let mut tools = tools(&["required", "optional", "plain"]);
                tools[0]["execution"] = json!({"taskSupport": "required"});
                tools[1]["execution"] = json!({"taskSupport": "optional"});
                json!({"tools": tools})
            }
            ("tools/call", _) if params["task"].is_object() => {
                let mut made = self.make();
                made["ttl"] = params["task"]["ttl"].clone();
                made["pollInterval"] = 200.into();
                json!({"task": made, "_meta": {RELATED: {"taskId": made["taskId"]}}})
            }
            ("tools/call", _) if params["name"] == "required" => {
                return error(&request, 200, &json!({"code": -32601, "message": "canary"}));
            }
            ("tools/call", _) => json!({"content": [{"type": "text", "text": "at once"}]}),
            ("tasks/get", Some(task)) => flat(task),
            ("tasks/result", Some(task)) => {
                let mut result = task["result"].clone();
                result["_meta"] = json!({RELATED: {"taskId": id}, "kept": 1});
                result
            }
            ("tasks/cancel", Some(task)) => {
                self.set(id, &json!({"status": "cancelled"}));
                let mut task = flat(task);
                task["status"] = "cancelled".into();
                task
            }
            (method, _) if method.starts_with("tasks/") => {
                return error(&request, 200, &json!({"code": -32602, "message": "canary"}));
            }
            _ => return error(&request, 200, &json!({"code": -32601, "message": "Method not found"})),
        };
        Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
    }
}

fn tools(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}})).collect()
}

fn error(request: &Value, status: u16, error: &Value) -> Answer {
    Answer::Json(status, "", json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string())
}
