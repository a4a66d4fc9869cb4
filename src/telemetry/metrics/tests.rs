use super::*;
use crate::vocab::limits::METRIC_SERIES_MAX;

fn line(text: &str, start: &str) -> Option<String> {
    text.lines().find(|line| line.starts_with(start)).map(str::to_owned)
}

#[test]
fn names_and_labels_are_those_promised() {
    let metrics = Metrics::new();
    let upstream: Arc<str> = "files".into();
    let tool = Tool::new("files__read".into());
    for class in [Class::Read, Class::Write, Class::Read] {
        metrics.decided(true, Reason::Allowed, Some(&tool), Some(class));
    }
    metrics.served("tools/call", Some(&tool), "", Duration::from_millis(3), None);
    metrics.served("tools/call", Some(&tool), names::TOOL_ERROR, Duration::from_secs(1), None);
    metrics.called(&upstream, "tools/call", Some(&tool), "", Duration::from_millis(2), None);
    metrics.delivered(&tool, 5);
    metrics.delivered(&tool, 6);
    metrics.decided(false, Reason::UnknownName, None, None);
    metrics.served("tools/list", None, "", Duration::from_secs(100_000_000), None);
    metrics.set_upstream_up(&upstream, true);
    metrics.set_list_stale(&upstream, false);
    metrics.audit.set(7, 3, Some(2));
    metrics.audit.written(5);
    metrics.audit.synced(Duration::from_millis(3));
    metrics.set_reload_success(true);
    metrics.shed("queue_full");
    let held = (metrics.hold_in_flight(), metrics.hold_connection());
    let text = metrics.encode();
    drop(held);
    for expect in [
        r#"portcullis_decisions_total{effect="allow",reason="allowed",tool="files__read",class="read"} 2"#,
        r#"portcullis_decisions_total{effect="allow",reason="allowed",tool="files__read",class="write"} 1"#,
        r#"portcullis_tool_response_tokens{tool="files__read"} 11"#,
        r#"portcullis_decisions_total{effect="deny",reason="unknown_name",tool="",class=""} 1"#,
        r#"mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 1"#,
        r#"mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type="tool_error"} 1"#,
        r#"mcp_server_operation_duration_seconds_bucket{le="0.005",mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 1"#,
        r#"mcp_server_operation_duration_seconds_bucket{le="0.0025",mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 0"#,
        r#"mcp_server_operation_duration_seconds_bucket{le="+Inf",mcp_method_name="tools/list",gen_ai_tool_name="",error_type=""} 1"#,
        r#"mcp_client_operation_duration_seconds_count{upstream="files",mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 1"#,
        r#"mcp_client_operation_duration_seconds_sum{upstream="files",mcp_method_name="tools/call",gen_ai_tool_name="files__read",error_type=""} 0.002"#,
        r#"portcullis_upstream_up{upstream="files"} 1"#,
        r#"portcullis_list_stale{upstream="files"} 0"#,
        "portcullis_audit_queue_depth 7",
        "portcullis_audit_records_total 5",
        "portcullis_audit_sync_seconds_count 1",
        "portcullis_audit_unsynced_records 3",
        "portcullis_audit_checkpoint_age_seconds 2",
        "portcullis_config_last_reload_success 1",
        r#"portcullis_sheds_total{reason="queue_full"} 1"#,
        "portcullis_in_flight 1",
        "portcullis_arriving 0",
        "portcullis_connections 1",
    ] {
        assert_eq!(line(&text, expect).as_deref(), Some(expect), "{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(metrics.encode().contains("portcullis_in_flight 0\n"));
}

#[test]
fn gauges_of_what_is_gone_go_and_make_room() {
    let metrics = Metrics::new();
    let named = |from: usize, to: usize| (from..to).map(|n| Arc::from(n.to_string())).collect::<Vec<Arc<str>>>();
    for round in 0..3 {
        let names = named(round * METRIC_SERIES_MAX / 2, (round + 1) * METRIC_SERIES_MAX / 2);
        for name in &names {
            metrics.set_upstream_up(name, false);
            metrics.set_list_stale(name, true);
            metrics.set_key_used(name, 1);
        }
        metrics.keep_upstreams(&names.iter().cloned().collect());
        metrics.keep_keys(&names.iter().cloned().collect());
    }
    metrics.keep_upstreams(&["10000".into(), "10001".into()].into());
    metrics.keep_keys(&["10002".into()].into());
    let text = metrics.encode();
    let labels = |metric: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
        let mut labels: Vec<String> = lines.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect();
        labels.sort();
        labels
    };
    assert_eq!(labels("portcullis_upstream_up"), ["10000", "10001"]);
    assert_eq!(labels("portcullis_list_stale"), ["10000", "10001"]);
    assert_eq!(labels("portcullis_api_key_last_used_seconds"), ["10002"]);
}

#[test]
fn hostile_labels_stay_in_their_quotes() {
    let metrics = Metrics::new();
    metrics.decided(false, Reason::NoRule, Some(&Tool::new("a\"} 1\nforged{x=\"\\".into())), None);
    let text = metrics.encode();
    assert!(line(&text, "forged").is_none(), "{text}");
    assert!(text.contains(r#"tool="a\"} 1\nforged{x=\"\\""#), "{text}");
}

#[test]
fn label_sets_are_bounded_and_nothing_is_lost() {
    let metrics = Metrics::new();
    let many = METRIC_SERIES_MAX + 500;
    for i in 0..many {
        metrics.decided(false, Reason::NoRule, Some(&Tool::new(i.to_string().into())), Some(Class::Write));
    }
    let text = metrics.encode();
    assert!(text.lines().filter(|l| l.starts_with("portcullis_decisions_total")).count() <= METRIC_SERIES_MAX + 1);
    let expect = r#"portcullis_decisions_total{effect="deny",reason="no_rule",tool="other",class="write"} 500"#;
    assert_eq!(line(&text, expect).as_deref(), Some(expect));
}
