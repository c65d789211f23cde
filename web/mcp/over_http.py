"""The server of the Model Context Protocol for one HTTP request.

Each request stands for itself, so there is nothing to keep and nothing to clean up: the SDK calls that
stateless. Answers are whole JSON bodies. The server never has anything to say by itself.
"""

from collections.abc import MutableMapping
from typing import Any

import attrs
import trio
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from greenroom.web.client import AsyncClient
from greenroom.web.mcp.calls import Calls
from greenroom.web.mcp.server import make_server


@attrs.define
class Answered:
    """An answer as ASGI has it."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    body: bytes = b""


async def answer(client: AsyncClient, scope: MutableMapping[str, Any], body: bytes) -> Answered:
    """Answer the HTTP request in `scope`. What tools ask of the daemon, `client` sends."""
    answered, rest = Answered(), [body]

    async def receive() -> MutableMapping[str, Any]:
        if not rest:
            await trio.sleep_forever()  # the client's leaving cancels all this
        return {"type": "http.request", "body": rest.pop(), "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answered.status, answered.headers = message["status"], list(message.get("headers", ()))
        else:
            answered.body += message.get("body", b"")

    # The connection has its own limit of a body's size.
    manager = StreamableHTTPSessionManager(
        make_server(Calls(client)), json_response=True, stateless=True, max_request_body_size=len(body) + 1
    )
    async with manager.run():
        await manager.handle_request(scope, receive, send)
    return answered
