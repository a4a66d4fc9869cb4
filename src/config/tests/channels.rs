//! `approvals.channels`.

use super::*;

const SIGNED: &str = "secret: 0123456789abcdef";

fn channels(entries: &str) -> String {
    format!("approvals: {{ channels: [{entries}] }}")
}

#[test]
fn channels_have_names_defaults_and_no_secret_in_print() {
    let config = accepts(&channels(&format!(
        "{{ webhook: {{ url: \"https://a.example/hook-canary\", {SIGNED} }} }}, \
         {{ webhook: {{ url: \"http://127.0.0.1:9/\", format: slack }} }}, \
         {{ name: pager, webhook: {{ url: \"https://events.example\", format: pagerduty, routing_key: key-canary }} }}, \
         {{ smtp: {{ host: mail.example.com, from: a@example.com, to: [b@example.com], username: u, password: \"${{env:TOKEN}}\" }} }}"
    )));
    let channels = config.approvals.channels;
    let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
    assert_eq!(names, ["json", "slack", "pager", "smtp"]);
    let Way::Smtp(smtp) = &channels[3].way else { panic!("{:?}", channels[3]) };
    assert_eq!((smtp.port, smtp.tls, smtp.login.is_some()), (587, MailTls::StartTls, true));
    let printed = format!("{channels:?}");
    for secret in ["hook-canary", "key-canary", "0123456789abcdef", SECRET] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn what_could_not_be_told_or_would_be_told_to_strangers_is_refused() {
    let files = Files::new();
    let hook = |rest: &str| format!("{{ webhook: {{ {rest} }} }}");
    let mail = |rest: &str| format!("{{ smtp: {{ host: mail.example.com, {rest} }} }}");
    let who = "from: a@example.com, to: [b@example.com]";
    for (entry, path) in [
        ("{ name: x }".to_owned(), "[0]"),
        (hook("url: \"https://a.example/canary\""), "[0].webhook.secret"),
        (hook("url: \"https://a.example/canary\", secret: short-canary"), "[0].webhook.secret"),
        (hook(&format!("url: \"http://a.example/canary\", {SIGNED}")), "[0].webhook.url"),
        (hook(&format!("url: \"https://10.0.0.1/canary\", {SIGNED}")), "[0].webhook.url"),
        (hook(&format!("url: \"https://169.254.169.254/canary\", {SIGNED}, allow_private_addresses: true")), "[0].webhook.url"),
        (hook(&format!("url: \"https://u:canary@a.example/\", {SIGNED}")), "[0].webhook.url"),
        (hook("url: \"https://a.example/\", format: carrier-pigeon"), "[0].webhook.format"),
        (hook("url: \"https://a.example/\", format: pagerduty"), "[0].webhook.routing_key"),
        (hook("url: \"https://a.example/\", format: slack, routing_key: canary"), "[0].webhook.routing_key"),
        (hook("url: \"https://a.example/\", format: slack, canary: 1"), "[0].webhook"),
        (
            format!(
                "{}, {}",
                hook("url: \"https://a.example/\", format: slack"),
                hook("url: \"https://b.example/\", format: slack")
            ),
            "[1].name",
        ),
        (format!("{{ name: \"A b\", webhook: {{ url: \"https://a.example/\", {SIGNED} }} }}"), "[0].name"),
        (mail(&format!("{who}, tls: none")), "[0].smtp.tls"),
        (mail(&format!("{who}, username: u")), "[0].smtp.password"),
        (mail(&format!("{who}, port: 0")), "[0].smtp.port"),
        (mail("from: a@example.com, to: []"), "[0].smtp.to"),
        (mail("from: a@example.com, to: [\"b@example.com>\\r\\nDATA\"]"), "[0].smtp.to[0]"),
        (mail("from: \"Portcullis <a@example.com>\", to: [b@example.com]"), "[0].smtp.from"),
        (format!("{{ smtp: {{ host: 10.1.2.3, {who} }} }}"), "[0].smtp.host"),
        (format!("{{ smtp: {{ host: \"mail example\", {who} }} }}"), "[0].smtp.host"),
        (hook(&format!("url: \"https://a.example/\", {SIGNED}, ca: none-canary.pem")), "[0].webhook.ca"),
        (hook(&format!("url: \"https://a.example/\", {SIGNED}, ca: \"\"")), "[0].webhook.ca"),
        (hook(&format!("url: \"http://127.0.0.1:9/\", {SIGNED}, ca: ca.pem")), "[0].webhook.ca"),
        (mail(&format!("{who}, ca: .")), "[0].smtp.ca"),
        (format!("{{ smtp: {{ host: 127.0.0.1, {who}, tls: none, ca: ca.pem }} }}"), "[0].smtp.ca"),
    ] {
        let problems = files.load(&with(&channels(&entry))).err().unwrap_or_else(|| panic!("{entry} is taken"));
        let path = format!("approvals.channels{path}");
        assert!(problems.iter().any(|problem| problem.path == path), "{entry}: {problems:?}");
        let printed: String = problems.iter().map(|problem| problem.value.as_str()).collect();
        assert!(!printed.contains("canary"), "{entry}: {problems:?}");
    }
    let without = format!("admin: none\n{}", channels(&hook(&format!("url: \"https://a.example/\", {SIGNED}"))));
    refuses(&without, &[("approvals.channels", "needs the operators' listener", 2)]);
}

#[test]
fn the_ca_of_a_receiver_is_a_file_of_certificates_that_is_watched() {
    let files = Files::new();
    files.write("ca.pem", &rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap().cert.pem());
    files.write("torn.pem", "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n");
    let hook = |ca: &str| channels(&format!("{{ webhook: {{ url: \"https://a.example/\", {SIGNED}, ca: {ca} }} }}"));
    let config = files.load(&with(&hook("ca.pem"))).unwrap();
    assert_eq!(config.approvals.channels[0].ca.as_deref(), Some(&*files.path("ca.pem")));
    assert!(config.watched.contains(&files.path("ca.pem")));
    for (name, message) in [("cert.pem", "holds no certificate"), ("torn.pem", "is not PEM"), ("none.pem", "cannot be read")] {
        refuses_in(&files, &hook(name), &[("approvals.channels[0].webhook.ca", message, 1)]);
    }
}
