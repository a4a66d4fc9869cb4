"""Holds dashboards against the models that Grafana publishes of them (grafana-foundation-sdk).

    python grafana_dashboards.py FILE ..

A file is read into the models and written again: what is gone or changed then, Grafana does not know. Every value is of the type, and of the
choices, that its model says. Prints what is wrong, a line each; exit code 1 if anything is.
"""

import enum
import json
import sys
import typing

from grafana_foundation_sdk.cog import plugins, runtime
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel


def unlike(given, written, path):
    """What is in `given` and not in `written`; defaults may be added."""
    if isinstance(given, dict) and isinstance(written, dict):
        for key, value in given.items():
            if key in written:
                yield from unlike(value, written[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: Grafana knows no such key"
    elif isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        for at, (one, other) in enumerate(zip(given, written)):
            yield from unlike(one, other, f"{path}[{at}]")
    elif given != written:
        yield f"{path}: {given!r} is read as {written!r}"


def misfits(value, hint, path):
    """Where `value` is not what the type `hint` says."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any or hint is object:
        return
    if origin is typing.Union:
        found = [list(misfits(value, part, path)) for part in parts]
        if all(found):
            yield min(found, key=len)[0]
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for at, item in enumerate(value):
            yield from misfits(item, parts[0], f"{path}[{at}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no object"
            return
        for key, item in value.items():
            yield from misfits(item, parts[1], f"{path}.{key}")
    elif origin is typing.Literal:
        if value not in parts:
            yield f"{path}: {value!r} is none of {parts}"
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in {choice.value for choice in hint}:
            yield f"{path}: {value!r} is none of {[choice.value for choice in hint]}"
    elif hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, hint)):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif isinstance(hint, type) and not isinstance(value, hint):
        yield f"{path}: {value!r} is no {hint.__name__}"
    else:
        yield from inside(value, path)


def inside(value, path):
    """The misfits in the members of a model."""
    if type(value).__module__.startswith("grafana_foundation_sdk.models"):
        for name, hint in typing.get_type_hints(type(value)).items():
            yield from misfits(getattr(value, name), hint, f"{path}.{name}")


def problems(board):
    read = Dashboard.from_json(board)
    yield from unlike(board, json.loads(JSONEncoder().encode(read)), "")
    yield from inside(read, "")
    for at, panel in enumerate(read.panels or []):
        # What kinds of panels and of data there are: those that have models of their own.
        if not isinstance(panel, Panel) or runtime.panelcfg_config(panel.type_val) is None:
            yield f".panels[{at}].type: {getattr(panel, 'type_val', None)!r} has no model"
            continue
        yield from inside(panel.options, f".panels[{at}].options")
        for n, target in enumerate(panel.targets or []):
            kind = type(target).__module__.rpartition(".")[2]
            if kind != "prometheus":
                yield f".panels[{at}].targets[{n}]: is read as {kind}"
            yield from inside(target, f".panels[{at}].targets[{n}]")


plugins.register_default_plugins()
failed = False
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as text:
        found = list(problems(json.load(text)))
    for problem in found:
        print(f"{file}: {problem}")
    failed = failed or bool(found)
sys.exit(1 if failed or not sys.argv[1:] else 0)
