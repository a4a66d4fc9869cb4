"""Runs a plan against an MCP server, as clients/driver.mjs does: the same plans, the same lines, the same environment, and of the
steps those that the matrix has."""

import asyncio
import json
import os
import sys
import time

HEAR_S = 0.02
CANCEL_AFTER_S = 0.3
TIMEOUT_S = float(os.environ.get("TIMEOUT_MS", "30000")) / 1000

URL = os.environ["GATEWAY_URL"]
HEADERS = {"Authorization": f"Bearer {os.environ['TOKEN']}"} if os.environ.get("TOKEN") else {}
ANSWERS = json.loads(os.environ.get("ANSWERS", "{}"))

pushed = []


def plain(model):
    """A message of the SDK as it is on the wire."""
    return model if isinstance(model, dict) else model.model_dump(mode="json", by_alias=True, exclude_none=True)


def push(method, params):
    pushed.append({"method": method, "params": plain(params) if params is not None else {}})


def answer(method, params):
    """What ANSWERS says to a question, which is noted."""
    push(method, params)
    is_link = plain(params).get("mode") == "url"
    return ANSWERS["elicitation/url" if is_link else method]


async def hear(step):
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        for at, one in enumerate(pushed):
            if one["method"] == step["method"] and step.get("uri") in (None, one["params"].get("uri")):
                return pushed.pop(at)
        await asyncio.sleep(HEAR_S)
    raise TimeoutError(f"never heard {step['method']} {step.get('uri', '')}: {pushed}")


async def every_tool(client):
    tools, cursor = [], None
    while True:
        page = plain(await client.list_tools(cursor))
        tools += page["tools"]
        cursor = page.get("nextCursor")
        if cursor is None:
            return {"tools": tools}


async def perform(client, step):
    """The result of a step, and what was told of its progress."""
    name, args = step.get("name"), step.get("args", {})
    match step["op"]:
        case "list":
            return await every_tool(client), []
        case "call":
            return await client.call(name, args), []
        case "progressCall":
            progress = []

            async def note(value, total, message):
                progress.append({"progress": value, "total": total, "message": message})

            return await client.call(name, args, note), progress
        case "cancelCall":
            calling = asyncio.ensure_future(client.call(name, args))
            await asyncio.sleep(step["after_ms"] / 1000 if "after_ms" in step else CANCEL_AFTER_S)
            await client.cancel(calling)
            return await calling, []
        case "complete":
            return await client.complete(step["ref"]["name"], step["argument"]), []
        case "watch":
            await client.watch(step.get("lists", []), step.get("uris", []))
            return {}, []
        case "hear":
            return await hear(step), []
        case "sleep":
            await asyncio.sleep(step["ms"] / 1000)
            return {}, []
    raise ValueError(f"unknown step: {step['op']}")


def tell(line):
    print(json.dumps(line), flush=True)


async def run_step(client, step):
    started = time.monotonic()
    line = {"op": step["op"], **({"name": step["name"]} if "name" in step else {})}
    progress = []
    try:
        result, progress = await asyncio.wait_for(perform(client, step), 2 * TIMEOUT_S)
        line |= {"ok": True, "result": plain(result)}
    except (Exception, asyncio.CancelledError) as error:
        line |= {"ok": False, "error": {"name": type(error).__name__, "message": str(error)}}
    kept = [] if client.watching is False else [one for one in pushed if one["method"].startswith("notifications/")]
    line["notifications"] = progress + [one for one in pushed if one not in kept]
    pushed[:] = kept
    tell(line | {"ms": round((time.monotonic() - started) * 1000)})


async def run(connected):
    """Runs the plan on standard input with what `connected`, an asynchronous context, yields."""
    plan = json.load(sys.stdin)
    try:
        async with connected as client:
            tell({"op": "connect", "ok": True, "result": {"version": client.version}})
            for step in plan:
                await run_step(client, step)
    except Exception as error:
        tell({"op": "connect", "ok": False, "error": {"name": type(error).__name__, "message": str(error)}})
    tell({"op": "http", "ok": True, "requests": []})
