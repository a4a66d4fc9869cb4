"""Holds events against the published schema of OCSF, of the version that they name (ocsf-json-schema has the schema of every version).

    python ocsf_events.py [VERSION ..] < EVENTS            a line of JSON each

They have to be good by each VERSION as well: what receivers of a newer one see is no surprise. Prints how many events of which class there were, or what is wrong with them; exit code 1 if anything is.
"""

import collections
import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

schemas = {}


def validator(event, version):
    profiles = tuple(event["metadata"].get("profiles", []))
    key = (version, event["class_uid"], profiles)
    if key not in schemas:
        published = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=key[0]))
        name = published.lookup_class_name_from_uid(class_uid=key[1])
        schemas[key] = name, Draft202012Validator(published.get_class_schema(class_name=name, profiles=list(profiles)))
    return schemas[key]


seen, wrong = collections.Counter(), set()
for line in sys.stdin:
    event = json.loads(line)
    kind = event.get("unmapped", {}).get("kind")
    for version in {event["metadata"]["version"], *sys.argv[1:]}:
        name, schema = validator(event, version)
        for error in schema.iter_errors(event):
            wrong.add(f"{version}: {name} of {kind}: {error.json_path}: {error.message[:300]}")
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        wrong.add(f"{name} of {kind}: type_uid is not that of the class and the activity")
    if event["class_uid"] // 1000 != event["category_uid"]:
        wrong.add(f"{name} of {kind}: the class is not of the category")
    seen[f"{name} {event['metadata']['version']}"] += 1
for problem in sorted(wrong):
    print(problem)
print(json.dumps(seen))
sys.exit(1 if wrong or not seen else 0)
