"""A client of a running daemon, blocking or async, on Trio or asyncio. See docs/python-client.md."""

from greenroom.actors.actions import actions, readings
from greenroom.actors.lifecycle import ProfileMode
from greenroom.web.client import (
    ApiError,
    AsyncClient,
    AsyncRemoteSession,
    Client,
    ClientError,
    DaemonUnreachable,
    Event,
    RemoteSession,
)
from greenroom.web.http.event_messages import EventMessage, GapMessage

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncRemoteSession",
    "Client",
    "ClientError",
    "DaemonUnreachable",
    "Event",
    "EventMessage",
    "GapMessage",
    "ProfileMode",
    "RemoteSession",
    "actions",
    "readings",
]
