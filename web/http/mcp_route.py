"""The sessions as tools of the Model Context Protocol, at `POST /mcp`: its transport "streamable HTTP"."""

import functools
import importlib
from types import ModuleType
from typing import Final

import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers

from greenroom.web.address import UNIX
from greenroom.web.client import AsyncClient
from greenroom.web.http.access import bearer
from greenroom.web.http.errors import McpNotInstalled
from greenroom.web.http.exchanges import asked
from greenroom.web.settings import DaemonSettings

_MODULE: Final = "greenroom.web.mcp.over_http"


def add_mcp_route(app: QuartTrio, settings: DaemonSettings) -> None:
    """Add the route to the app."""

    @app.post("/mcp")
    async def mcp() -> Response:
        """Answer one message of the protocol.

        What a tool does are requests to this daemon with the token of this one, so it has the same rights,
        limits and lines in the log as any other client.
        """
        server = await _server()
        token = bearer(asked().headers.getlist("Authorization")) or None
        async with AsyncClient(
            _own_url(settings), token, retry_for_s=0, certificate=settings.tls_certificate
        ) as client:
            answered = await server.answer(client, dict(asked().scope), await request.body)
        return Response(answered.body, answered.status, Headers(_decoded(answered.headers)))


async def _server() -> ModuleType:
    """Return the module with the SDK, which takes a second to import. Raises `McpNotInstalled`."""
    try:
        return await trio.to_thread.run_sync(functools.partial(importlib.import_module, _MODULE))
    except ModuleNotFoundError as exc:
        raise McpNotInstalled from exc


def _own_url(settings: DaemonSettings) -> str:
    """Return where this daemon is, for itself: the address at which this request has arrived."""
    if settings.bind.startswith(UNIX):
        return settings.bind
    host, port = asked().scope["server"] or ("", None)
    scheme = "http" if settings.tls_certificate is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _decoded(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
