"""The tools of the other fixtures on the Python SDK 2.x, which serves 2026-07-28 and sessions side by side."""

import asyncio
from typing import Annotated

from fixture import CITIES, LINK, TEXT, WATCHED, serve
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve, Sample
from mcp_types import (
    Completion,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestURLParams,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel

app = MCPServer("python2", log_level="WARNING")
cancelled = 0


class Person(BaseModel):
    name: str


async def who(message: str) -> Elicit[Person]:
    return Elicit(message, Person)


async def sampled(prompt: str) -> Sample:
    return Sample([SamplingMessage(role="user", content=TextContent(type="text", text=prompt))], max_tokens=100)


@app.tool()
async def test_simple_text() -> str:
    return TEXT


@app.tool()
async def test_elicitation(message: str, person: Annotated[Person, Resolve(who)]) -> str:
    return f"accept: {person.name}"


@app.tool()
async def test_elicitation_url(ctx: Context) -> str | InputRequiredResult:
    if ctx.input_responses:
        return f"Link: {ctx.input_responses['link'].action}"
    link = ElicitRequest(params=ElicitRequestURLParams(message="Please sign in", url=LINK))
    return InputRequiredResult(input_requests={"link": link})


@app.tool()
async def test_sampling(prompt: str, answer: Annotated[CreateMessageResult, Resolve(sampled)]) -> str:
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
    await ctx.notify_tools_changed()
    return "told"


@app.tool()
async def test_touch_resource(uri: str, ctx: Context) -> str:
    await ctx.notify_resource_updated(uri)
    return "touched"


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
