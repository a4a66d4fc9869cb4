//! The OpenAPI document, made of the table that routes and of the values that are answered.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::events::Record;
use super::notices::NoticeView;
use super::query::text_chars_max;
use super::{AuditView, lease, tools, upstreams};
use crate::admin::guard::CSRF_HEADER;
use crate::admin::look::approvals::View;
use crate::admin::look::{Paged, policy};
use crate::admin::problem::{Details, MEDIA_TYPE};
use crate::admin::routes::{Act, ENDPOINTS, Endpoint, ID_BYTES_MAX, Query, QueryKind, Verb};
use crate::vocab::limits::{ADMIN_PAGE_ITEMS_MAX, APPROVAL_REASON_CHARS_MAX};

/// The document, for a listener whose sessions are in the cookie `cookie`.
pub(super) fn document(cookie: &str) -> Vec<u8> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut schemas = settings.into_generator();
    let problem = serde_json::to_value(schemas.subschema_for::<Details>()).unwrap_or_default();
    let mut paths = Map::new();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.is_api()) {
        let operation = operation(endpoint, &problem, &mut schemas);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(endpoint.method().to_ascii_lowercase(), operation);
        }
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Portcullis admin API", "version": env!("CARGO_PKG_VERSION"),
                  "description": "What the console shows, for programs. Roles nest: operator, approver, viewer." },
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": cookie },
            },
            "schemas": schemas.take_definitions(true),
        },
    });
    serde_json::to_vec(&document).unwrap_or_default()
}

fn operation(endpoint: &Endpoint, problem: &Value, schemas: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = endpoint.query.iter().map(|query| parameter(query, endpoint.act)).collect();
    let has_id = endpoint.path.contains("{id}");
    if has_id {
        let schema = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": ID_BYTES_MAX });
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": schema }));
    }
    let post = endpoint.verb == Verb::Post;
    if post {
        let words = "Needed with the cookie of a session: the value `csrf` of the forms of its pages. Not with a token.";
        let schema = json!({ "type": "string" });
        parameters.push(
            json!({ "name": CSRF_HEADER.as_str(), "in": "header", "required": false, "description": words, "schema": schema }),
        );
    }
    let mut content = json!({ "application/json": { "schema": gives(endpoint.act, schemas) } });
    if let (Act::Events, Some(content)) = (endpoint.act, content.as_object_mut()) {
        content.insert("text/event-stream".to_owned(), json!({ "schema": { "type": "string" } }));
    }
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({ "description": "As asked.", "content": content }));
    for (status, words, applies) in [
        ("400", "Not understood.", true),
        ("401", "No credential, or one that does not hold.", true),
        ("403", "A role that does not do, or a request that another site caused.", true),
        ("404", "There is no such thing.", has_id),
        ("408", "The body came too slowly.", post),
        ("409", "It is decided or over, or the policy has changed.", post),
        ("413", "The body is too large.", post),
        ("415", "The body is not JSON.", post),
        ("503", "Not now.", true),
    ] {
        if applies {
            let content = json!({ MEDIA_TYPE: { "schema": problem } });
            responses.insert(status.to_owned(), json!({ "description": words, "content": content }));
        }
    }
    let mut operation = json!({
        "operationId": format!("{:?}", endpoint.act), "summary": endpoint.words, "parameters": parameters, "responses": responses,
        "x-portcullis-role": endpoint.role.map(|role| role.as_str()),
    });
    if let (true, Some(operation)) = (post, operation.as_object_mut()) {
        let reason = json!({ "type": "string", "maxLength": APPROVAL_REASON_CHARS_MAX, "description": "Why, for the record." });
        let mut properties = json!({ "reason": reason });
        if let (Act::Approve, Some(properties)) = (endpoint.act, properties.as_object_mut()) {
            properties.insert("lease".to_owned(), lease::schema());
        }
        let schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        operation.insert(
            "requestBody".to_owned(),
            json!({ "required": false, "content": { "application/json": { "schema": schema } } }),
        );
    }
    operation
}

fn parameter(query: &Query, act: Act) -> Value {
    let schema = match query.kind {
        QueryKind::Text => json!({ "type": "string", "maxLength": text_chars_max() }),
        QueryKind::Limit => json!({ "type": "integer", "minimum": 1, "maximum": ADMIN_PAGE_ITEMS_MAX }),
        QueryKind::Word(words) => json!({ "type": "string", "enum": words }),
    };
    let required = act == Act::Explain && matches!(query.name, "as" | "call");
    json!({ "name": query.name, "in": "query", "required": required, "description": query.words, "schema": schema })
}

/// What the endpoint answers when all is well.
fn gives(act: Act, schemas: &mut SchemaGenerator) -> Value {
    fn of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
        serde_json::to_value(schemas.subschema_for::<T>()).unwrap_or_default()
    }
    match act {
        Act::Approvals | Act::Leases => of::<Paged<View>>(schemas),
        Act::Approval | Act::Approve | Act::Deny | Act::Withdraw => of::<View>(schemas),
        Act::Events | Act::Event => of::<Paged<Record>>(schemas),
        Act::Tools => of::<Paged<tools::ToolView>>(schemas),
        Act::Upstreams => of::<Paged<upstreams::UpstreamView>>(schemas),
        Act::Policy => of::<policy::PolicyView>(schemas),
        Act::AccessMatrix => of::<policy::Matrix>(schemas),
        Act::Explain => of::<policy::Why>(schemas),
        Act::AuditState => of::<AuditView>(schemas),
        Act::Notices => of::<Paged<NoticeView>>(schemas),
        _ => json!({ "type": "object" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_every_endpoint_and_every_schema_that_it_refers_to() {
        let text = String::from_utf8(document("a-cookie")).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.is_api()) {
            let operation = &document["paths"][endpoint.path][endpoint.method().to_ascii_lowercase()];
            let decides = endpoint.path.ends_with("/approve") || endpoint.path.ends_with("/deny");
            assert_eq!(operation["x-portcullis-role"], if decides { "approver" } else { "viewer" }, "{}", endpoint.path);
            let shows = operation["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "x-csrf-token");
            assert_eq!(shows, endpoint.method() == "POST", "{}", endpoint.path);
            assert!(operation["responses"]["401"].is_object() && operation["responses"]["403"].is_object());
        }
        assert_eq!(document["components"]["securitySchemes"]["session"]["name"], "a-cookie");
        let mut seen = 0;
        for name in text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
        assert!(document["components"]["schemas"]["ApprovalPage"].is_object());
    }
}
