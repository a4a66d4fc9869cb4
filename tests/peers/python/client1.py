"""The client of the Python SDK 1.x. See driver.py."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import driver
from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl


class Client:
    def __init__(self, session, version):
        self.session, self.version, self.watching = session, version, False
        self.list_tools = session.list_tools

    async def call(self, name, args, progress=None):
        return await self.session.call_tool(name, args, timedelta(seconds=driver.TIMEOUT_S), progress)

    async def cancel(self, calling):
        # This SDK tells nobody of a call that is given up: whoever uses it has to.
        last = self.session._request_id - 1
        params = types.CancelledNotificationParams(requestId=last, reason="no longer wanted")
        await self.session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        calling.cancel()

    async def complete(self, name, argument):
        return await self.session.complete(types.PromptReference(type="ref/prompt", name=name), argument)

    async def watch(self, _lists, uris):
        self.watching = True
        for uri in uris:
            await self.session.subscribe_resource(AnyUrl(uri))


async def elicited(_context, params):
    return types.ElicitResult.model_validate(driver.answer("elicitation/create", params))


async def sampled(_context, params):
    return types.CreateMessageResult.model_validate(driver.answer("sampling/createMessage", params))


async def told(message):
    if isinstance(message, types.ServerNotification):
        driver.push(message.root.method, message.root.params)


@asynccontextmanager
async def connected():
    async with streamablehttp_client(driver.URL, headers=driver.HEADERS) as (read, write, _):
        callbacks = {"elicitation_callback": elicited, "sampling_callback": sampled, "message_handler": told}
        async with ClientSession(read, write, **callbacks) as session:
            yield Client(session, (await session.initialize()).protocolVersion)


asyncio.run(driver.run(connected()))
