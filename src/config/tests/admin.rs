//! The `admin` section.

use super::*;
use crate::config::{RoleMember, Tls};

const OIDC: &str = "oidc: { issuer: \"https://idp.example.com\", client_id: console, client_secret: s3cret-canary }";
const ROLES: &str = "roles: { operator: [\"group:ops\"] }";
const TLS: &str = "tls: { cert: cert.pem, key: key.pem }";

fn admin(files: &Files, section: &str) -> Admin {
    files
        .load(&with(&format!("admin: {{ {section} }}")))
        .map_err(|problems| format!("{section}: {problems:?}"))
        .unwrap()
        .admin
        .unwrap()
}

#[test]
fn the_listener_has_the_defaults_of_development() {
    let admin = admin(&Files::new(), "listen: 127.0.0.1:0");
    assert_eq!((admin.tls, admin.public_url, admin.oidc.is_none()), (Tls::None, None, true));
    assert_eq!(admin.roles, AdminRoles::default());
}

#[test]
fn roles_are_of_the_one_issuer_there_is_or_of_the_one_they_name() {
    let files = Files::new();
    let one = admin(
        &files,
        &format!("{OIDC}, roles: {{ viewer: [\"group:staff\"], approver: [\"sub:key:ci\"], operator: [\"sub:root\"] }}"),
    );
    let idp = "https://idp.example.com".to_owned();
    assert_eq!(one.roles.viewer, [RoleMember::Group { iss: idp.clone(), name: "staff".to_owned() }]);
    assert_eq!(one.roles.operator, [RoleMember::Sub { iss: idp.clone(), sub: "root".to_owned() }]);
    let key = RoleMember::Sub { iss: "portcullis:keys".to_owned(), sub: "key:ci".to_owned() };
    assert_eq!(one.roles.approver, [key], "a name that a provider gave is no API key");
    assert!(!format!("{one:?}").contains("s3cret-canary"));
    let named = format!("{OIDC}, roles: {{ viewer: [\"group:https://idp.example.com#staff\"] }}");
    assert_eq!(admin(&files, &named).roles.viewer, [RoleMember::Group { iss: idp, name: "staff".to_owned() }]);
}

#[test]
fn it_can_be_reached_from_elsewhere_with_all_that_takes() {
    let section = format!("listen: 0.0.0.0:9443, public_url: \"https://console.example.com\", {TLS}, {OIDC}, {ROLES}");
    let admin = admin(&Files::new(), &section);
    assert!(matches!(admin.tls, Tls::Files { .. }));
    assert_eq!(admin.public_url.unwrap().origin(), "https://console.example.com");
}

#[test]
fn what_would_let_strangers_in_is_refused() {
    let files = Files::new();
    let far = "listen: 0.0.0.0:9443";
    let url = "public_url: \"https://console.example.com\"";
    let two = "identity:\n  issuers: [{ issuer: \"https://other.example.com\", jwks: \"file:jwks.json\" }]";
    for (yaml, path) in [
        (format!("admin: {{ {far}, {url}, {TLS} }}"), "admin.oidc"),
        (format!("admin: {{ {far}, {TLS}, {OIDC}, {ROLES} }}"), "admin.public_url"),
        (format!("admin: {{ {far}, {url}, {OIDC}, {ROLES} }}"), "admin.tls"),
        (format!("admin: {{ {far}, {url}, tls: none, {OIDC}, {ROLES} }}"), "admin.tls"),
        (format!("admin: {{ {far}, {url}, tls: self_signed, {OIDC}, {ROLES} }}"), "admin.tls"),
        (format!("admin: {{ {far}, public_url: \"http://console.example.com\", {TLS}, {OIDC}, {ROLES} }}"), "admin.public_url"),
        (format!("admin: {{ public_url: \"http://console.example.com\", {OIDC}, {ROLES} }}"), "admin.public_url"),
        (format!("admin: {{ {url} }}"), "admin.oidc"),
        (format!("admin: {{ public_url: \"https://console.example.com/x\", {OIDC}, {ROLES} }}"), "admin.public_url"),
        (format!("admin: {{ {OIDC} }}"), "admin.roles"),
        (format!("admin: {{ oidc: {{ client_id: x }}, {ROLES} }}"), "admin.oidc.issuer"),
        (format!("admin: {{ {OIDC}, roles: {{ viewer: [any] }} }}"), "admin.roles.viewer[0]"),
        (format!("admin: {{ {OIDC}, roles: {{ viewer: [\"group:*\"] }} }}"), "admin.roles.viewer[0]"),
        (format!("admin: {{ {OIDC}, roles: {{ viewer: [\"group:\"] }} }}"), "admin.roles.viewer[0]"),
        (format!("admin: {{ {OIDC}, roles: {{ viewer: [\"sub:https://evil.example.com#x\"] }} }}"), "admin.roles.viewer[0]"),
        (format!("{two}\nadmin: {{ {OIDC}, {ROLES} }}"), "admin.roles.operator[0]"),
        ("admin: { roles: { viewer: [\"group:staff\"] } }".to_owned(), "admin.roles.viewer[0]"),
        (format!("admin: {{ {OIDC}, roles: {{ owner: [\"sub:x\"] }} }}"), "admin.roles.owner"),
    ] {
        let problems = files.load(&with(&yaml)).err().unwrap_or_else(|| panic!("{yaml} is taken"));
        assert!(problems.iter().any(|problem| problem.path == path), "{yaml}: {problems:?}");
        assert!(!format!("{problems:?}").contains("s3cret-canary"), "{problems:?}");
    }
}
