"""The server of the Model Context Protocol, and its way by standard input and output."""

import contextlib
import os
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any, Final, Self, cast

import anyio
import attrs
import trio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult

from greenroom.web.client import AsyncClient
from greenroom.web.mcp.calls import Calls
from greenroom.web.mcp.tools import all_tools

_END_S: Final = 20.0
_PIECE_BYTES: Final = 1 << 16
_INSTRUCTIONS: Final = (
    "Browsers that are logged in to TikTok. Call session_new, or session_list for those that are there. Then "
    "use the browser_ tools: what a target is called comes from the latest snapshot. A session ends by "
    "itself after some minutes; session_extend gives it more time."
)


async def serve_stdio(client: AsyncClient) -> None:
    """Serve one connection, up to the end of standard input. Then end the sessions that were made by it."""
    stdin = trio.lowlevel.FdStream(os.dup(0))
    async with stdin, open_server(client) as server:
        # The SDK's own way to read waits in a thread that no signal ends.
        lines = cast("anyio.AsyncFile[str]", _Lines(stdin))
        async with stdio_server(stdin=lines) as (read, write):
            await server.run(read, write, server.create_initialization_options())


@contextlib.asynccontextmanager
async def open_server(client: AsyncClient) -> AsyncIterator[Server[Any]]:
    """Make a server for one connection; its sessions end with the block."""
    calls = Calls(client)
    try:
        yield make_server(calls)
    finally:
        with anyio.move_on_after(_END_S, shield=True):
            await calls.end_made()


def make_server(calls: Calls) -> Server[Any]:
    """Return a server whose tools are carried out by `calls`."""

    async def list_tools(_context: object, _params: object) -> ListToolsResult:
        return ListToolsResult(tools=all_tools())

    async def call_tool(_context: object, params: CallToolRequestParams) -> CallToolResult:
        return await calls.call(params.name, params.arguments or {})

    return Server(
        "greenroom",
        version=version("greenroom"),
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


@attrs.define(eq=False)
class _Lines:
    """The lines that arrive on a stream, whose last one may have no end."""

    _stream: trio.abc.ReceiveStream
    _held: bytearray = attrs.field(factory=bytearray, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        searched = 0
        while (end := self._held.find(b"\n", searched) + 1) == 0:
            searched = len(self._held)
            piece = await self._stream.receive_some(_PIECE_BYTES)
            if not piece:
                raise StopAsyncIteration
            self._held += piece
        line = self._held[:end].decode("utf-8", "replace")
        del self._held[:end]
        return line
