use std::time::Duration;

use prost::Message as _;

use super::message::MetricFamily;
use super::*;

#[test]
fn scrapers_get_the_form_that_they_prefer() {
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let prometheus = format!(
        "{protobuf};q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
         text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    );
    let without = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let table = [
        ("", Form::Text),
        ("*/*", Form::Text),
        ("text/html", Form::Text),
        (prometheus.as_str(), Form::Protobuf),
        (protobuf, Form::Protobuf),
        ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text", Form::Text),
        (without, Form::OpenMetrics),
        ("text/plain, application/openmetrics-text;q=0.5", Form::Text),
        ("application/openmetrics-text;q=0", Form::Text),
        ("application/openmetrics-text;q=x,text/plain;q=0.5", Form::Text),
    ];
    for (accept, form) in table {
        assert_eq!(Form::of(accept), form, "{accept}");
    }
}

fn metrics() -> Metrics {
    let metrics = Metrics::new();
    let tool = crate::telemetry::metrics::Tool::new("files__read".into());
    metrics.served("tools/call", Some(&tool), "", Duration::from_millis(3), Some([0xab; 16]));
    metrics.served("tools/call", Some(&tool), "", Duration::from_millis(3), None);
    metrics.served("tools/call", Some(&tool), "", Duration::from_secs(9), None);
    metrics.served("tools/list", None, "", Duration::from_millis(3), None);
    metrics.shed("queue_full");
    metrics
}

#[test]
fn text_has_no_exemplars_and_openmetrics_has_one_of_its_trace() {
    let metrics = metrics();
    let text = |form| String::from_utf8(metrics.expose(form)).unwrap();
    assert!(!text(Form::Text).contains("trace_id"));
    let with = text(Form::OpenMetrics);
    let lines: Vec<&str> = with.lines().filter(|line| line.contains("trace_id")).collect();
    assert_eq!(lines.len(), 1, "{with}");
    assert!(lines[0].starts_with("mcp_server_operation_duration_seconds_bucket{le=\"0.005\",mcp_method_name=\"tools/call\""));
    assert!(lines[0].contains(&format!("}} 2 # {{trace_id=\"{}\"}} 0.003 ", "ab".repeat(16))), "{}", lines[0]);
}

#[test]
fn protobuf_says_what_the_text_says_and_more() {
    let bytes = metrics().expose(Form::Protobuf);
    let (mut rest, mut families) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    let find = |name: &str| families.iter().find(|family| family.name == name).unwrap();
    assert_eq!(find("portcullis_sheds_total").metric.len(), 1);
    let served = find("mcp_server_operation_duration_seconds");
    assert_eq!(served.metric.len(), 2);
    let call = served.metric.iter().filter_map(|metric| metric.histogram.as_ref()).find(|of| of.sample_count == 3).unwrap();
    assert_eq!(call.positive_delta, [2, -1]);
    assert_eq!(call.exemplars.len(), 1);
}
