"""The client of the Python SDK 2.x. ERA=auto (default) discovers 2026-07-28; ERA=legacy opens a session. See driver.py."""

import asyncio
import os
import warnings
from contextlib import AsyncExitStack, asynccontextmanager

import driver
import httpx2
import mcp
import mcp_types as types
from mcp.client.streamable_http import streamable_http_client

# Sampling and the like are deprecated by the newest revision, and work.
warnings.simplefilter("ignore")


class Client:
    def __init__(self, client, stack):
        self.client, self.stack, self.version, self.watching = client, stack, client.protocol_version, False

    async def list_tools(self, cursor):
        return await self.client.list_tools(cursor=cursor)

    async def call(self, name, args, progress=None):
        return await self.client.call_tool(name, args, driver.TIMEOUT_S, progress)

    async def cancel(self, calling):
        calling.cancel()

    async def complete(self, name, argument):
        return await self.client.complete(types.PromptReference(name=name), argument)

    async def watch(self, lists, uris):
        self.watching = True
        if self.version < "2026-07-28":
            for uri in uris:
                await self.client.subscribe_resource(uri)
            return
        wanted = {f"{one}_list_changed": True for one in lists}
        # What it hears comes to the handler of messages too.
        await self.stack.enter_async_context(self.client.listen(**wanted, resource_subscriptions=uris))


async def elicited(_context, params):
    return types.ElicitResult.model_validate(driver.answer("elicitation/create", params))


async def sampled(_context, params):
    return types.CreateMessageResult.model_validate(driver.answer("sampling/createMessage", params))


async def told(message):
    if getattr(message, "method", "").startswith("notifications/"):
        driver.push(message.method, message.params)


@asynccontextmanager
async def connected():
    http = httpx2.AsyncClient(headers=driver.HEADERS, timeout=httpx2.Timeout(driver.TIMEOUT_S, read=10 * driver.TIMEOUT_S))
    callbacks = {"elicitation_callback": elicited, "sampling_callback": sampled, "message_handler": told}
    transport = streamable_http_client(driver.URL, http_client=http)
    async with mcp.Client(transport, mode=os.environ.get("ERA", "auto"), **callbacks) as client, AsyncExitStack() as stack:
        yield Client(client, stack)


asyncio.run(driver.run(connected()))
