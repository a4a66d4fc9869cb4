"""Makes tests/data/audit/otlp-logs.bin: the two records of the test, as opentelemetry-proto writes them.

    pip install opentelemetry-proto && python otlp_logs.py ../data/audit/otlp-logs.bin
"""

import json
import sys

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

TIME = 1_795_322_316_123_000_000
OBSERVED = 1_795_322_320_000_000_000


def line(kind, more):
    record = {"v": 1, "seq": 7, "time": "2026-11-22T04:38:36.123Z", "id": "0199", "kind": kind, "prev": "00", "hash": "11"}
    return json.dumps({**record, **more}, separators=(",", ":"), sort_keys=True)


CALL = {
    "rpc_id": "5",
    "trace_id": "0123456789abcdef0123456789abcdef",
    "principal": {"iss": "https://idp", "sub": "alice", "client_id": "agent", "groups": ["eng"], "scopes": []},
    "route": "/mcp",
    "upstream": "files",
    "method": "tools/call",
    "name": "files__read",
    "class": "read",
    "decision": {"effect": "allow", "mode": "enforce", "reason": "allowed", "rules": ["r1", "r2"], "policy": "abc"},
    "outcome": {"status": "completed", "reason": "allowed", "http": 200, "bytes_in": 10, "bytes_out": 20},
    "intent": 6,
}


def attribute(to, key, value):
    pair = to.add(key=key)
    if isinstance(value, int):
        pair.value.int_value = value
    else:
        pair.value.string_value = value


def log(scope, kind, more, attributes):
    record = scope.log_records.add(time_unix_nano=TIME, observed_time_unix_nano=OBSERVED)
    record.severity_number = 9
    record.severity_text = "INFO"
    record.body.string_value = line(kind, more)
    record.event_name = "portcullis.audit." + kind
    for key, value in attributes:
        attribute(record.attributes, key, value)
    if "trace_id" in more:
        record.trace_id = bytes.fromhex(more["trace_id"])


request = ExportLogsServiceRequest()
resource = request.resource_logs.add()
attribute(resource.resource.attributes, "service.name", "portcullis")
attribute(resource.resource.attributes, "service.version", "0.1.0")
scope = resource.scope_logs.add()
scope.scope.name = "portcullis.audit"
scope.scope.version = "0.1.0"
log(
    scope,
    "outcome",
    CALL,
    [
        ("portcullis.audit.seq", 7),
        ("portcullis.audit.id", "0199"),
        ("portcullis.audit.kind", "outcome"),
        ("portcullis.audit.effect", "allow"),
        ("portcullis.audit.status", "completed"),
        ("portcullis.audit.class", "read"),
        ("portcullis.audit.upstream", "files"),
        ("http.route", "/mcp"),
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "files__read"),
        ("jsonrpc.request.id", "5"),
        ("user.id", "alice"),
        ("portcullis.audit.reason", "allowed"),
        ("http.response.status_code", 200),
    ],
)
log(
    scope,
    "checkpoint",
    {},
    [("portcullis.audit.seq", 7), ("portcullis.audit.id", "0199"), ("portcullis.audit.kind", "checkpoint")],
)
with open(sys.argv[1], "wb") as file:
    file.write(request.SerializeToString())
