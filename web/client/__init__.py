"""The daemon's client for Python programs: `greenroom.client`.

`request`, `daemon_requests`, `session_requests`, `feeds` and `retrying` say what is asked and how answers are
read; none of them does I/O. `sync` and `aio` send it, one blocking, one on Trio or asyncio.
"""

from greenroom.web.client.aio import AsyncClient, AsyncRemoteSession
from greenroom.web.client.errors import ApiError, ClientError, DaemonUnreachable
from greenroom.web.client.feeds import Event
from greenroom.web.client.sync import Client, RemoteSession

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncRemoteSession",
    "Client",
    "ClientError",
    "DaemonUnreachable",
    "Event",
    "RemoteSession",
]
