"""The tools of the other fixtures on the Python SDK 1.x, which has sessions and nothing newer than 2025-11-25."""

import asyncio

from fixture import CITIES, LINK, TEXT, WATCHED, serve
from mcp.server.fastmcp import Context, FastMCP
from mcp.types import Completion, SamplingMessage, TextContent
from pydantic import BaseModel

app = FastMCP("python1", log_level="WARNING")
cancelled = 0


class Person(BaseModel):
    name: str


@app.tool()
async def test_simple_text() -> str:
    return TEXT


@app.tool()
async def test_elicitation(message: str, ctx: Context) -> str:
    answer = await ctx.elicit(message, Person)
    return f"{answer.action}: {answer.data.name if answer.action == 'accept' else ''}"


@app.tool()
async def test_elicitation_url(ctx: Context) -> str:
    answer = await ctx.elicit_url("Please sign in", LINK, "one")
    return f"Link: {answer.action}"


@app.tool()
async def test_sampling(prompt: str, ctx: Context) -> str:
    question = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    answer = await ctx.session.create_message([question], max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {answer.content.text}"


@app.tool()
async def test_tool_with_progress(ctx: Context) -> str:
    for step in (0, 50, 100):
        await ctx.report_progress(step, 100)
        await asyncio.sleep(0.05)
    return "done"


@app.tool()
async def test_slow(steps: int, delay_ms: int) -> str:
    global cancelled
    try:
        await asyncio.sleep(steps * delay_ms / 1000)
    except asyncio.CancelledError:
        cancelled += 1
        raise
    return "ran to its end"


@app.tool()
async def test_cancelled_count() -> str:
    return str(cancelled)


@app.tool()
async def test_trigger_tool_change(ctx: Context) -> str:
    await ctx.session.send_tool_list_changed()
    return "told"


@app.resource(WATCHED)
def watched() -> str:
    return "watched"


@app.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str = "") -> str:
    return f"{arg1} {arg2}"


@app.completion()
async def complete(_ref, argument, _context):
    return Completion(values=[city for city in CITIES if city.startswith(argument.value)])


serve(app.streamable_http_app())
