"""Where commands get their sessions: from the running daemon, or from one that runs for the command only."""

import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import attrs
import msgspec
import trio

from greenroom.actors.actions.readings import Storage
from greenroom.actors.browser.client.failure import plain_reason
from greenroom.actors.commands import Read
from greenroom.actors.errors import EngineUnavailable
from greenroom.actors.lifecycle import ProfileInfo, WatchMode
from greenroom.actors.machine.ports import Machine
from greenroom.actors.machine.storage_state import StorageState
from greenroom.supervisor.api import Supervisor
from greenroom.supervisor.secret import Secret
from greenroom.web.client import AsyncClient, ClientError
from greenroom.web.commands.serve import open_daemon
from greenroom.web.commands.sessions import make_async_client
from greenroom.web.http.schemas import Session
from greenroom.web.settings import DaemonSettings

# Asking whether a daemon runs here takes milliseconds.
_ANSWER_S = 2.0
# How long a session may take to end that nobody needs any more.
_END_S = 20.0


class Desk(Protocol):
    """Makes sessions for a command. Methods raise `GreenroomError` or `ClientError`."""

    @property
    def engine(self) -> str:
        """The browser that its sessions have, in words."""

    @property
    def is_own(self) -> bool:
        """Whether its browsers run for this command only, on this machine."""

    @property
    def socket(self) -> str | None:
        """The path of the Unix socket at which its daemon is, if it is at one."""

    async def log_in(self, profile: str, *, timeout_s: float, window: bool) -> str:
        """Start a session in which a person logs in; return its id."""

    async def look(self, session_id: str) -> Session:
        """Return a session as it is now."""

    async def link(self, session_id: str, *, ttl_s: float) -> str:
        """Return an address at which somebody can watch a session and take control of it."""

    async def end(self, session_id: str) -> None:
        """End a session; return once nothing of it is left."""

    async def profile(self, name: str) -> ProfileInfo | None:
        """Return what is known of a profile; None if there is none."""

    async def give(self, profile: str, state: StorageState, *, takes_all: bool) -> int:
        """Give a profile a login; return the number of its new generation.

        It may have what is of other sites if it `takes_all`.
        """

    async def take(self, profile: str) -> bytes:
        """Return a profile's storage state, in JSON, once its page has shown a login."""


@contextlib.asynccontextmanager
async def open_desk(
    settings: DaemonSettings, *, url: str | None = None, own: bool, machine: Machine | None = None
) -> AsyncIterator[Desk]:
    """Open a desk: the daemon at `url` if given; else the one that runs as in the settings, unless `own`.

    If there is none, it is a daemon of this process, for the length of the block; `machine` is as for
    `open_daemon`, whose errors are raised.
    """
    address, certificate = url or settings.url, None if url else settings.tls_certificate
    if url is not None or (not own and await _is_daemon(address, certificate)):
        async with make_async_client(settings, url) as client:
            yield _DaemonDesk(client)
        return
    token = secrets.token_urlsafe(32)  # other users of this machine reach loopback, too
    ours = attrs.evolve(
        settings,
        bind="127.0.0.1:0",
        tls_certificate=None,
        tls_key=None,
        token=Secret(token),
        tokens_file=None,
        warm_sessions=0,
        profile_refresh=0,
    )
    async with open_daemon(ours, machine=machine) as daemon:
        yield _OwnDesk(daemon.supervisor, daemon.url, token)


async def _is_daemon(url: str, certificate: Path | None) -> bool:
    with contextlib.suppress(ClientError):
        async with AsyncClient(url, timeout_s=_ANSWER_S, retry_for_s=0, certificate=certificate) as client:
            return bool(await client.health())
    return False


@attrs.frozen
class _OwnDesk:
    _supervisor: Supervisor
    _url: str
    _token: str
    is_own: bool = attrs.field(default=True, init=False)
    socket: str | None = attrs.field(default=None, init=False)

    @property
    def engine(self) -> str:
        return self._supervisor.machine.engine

    async def log_in(self, profile: str, *, timeout_s: float, window: bool) -> str:
        try:
            return (await self._supervisor.open_login(profile, timeout_s=timeout_s, headless=not window)).id
        except EngineUnavailable as exc:
            raise EngineUnavailable(str(exc), detail=plain_reason(exc.detail or "")) from exc

    async def look(self, session_id: str) -> Session:
        return Session.of(await self._supervisor.get_session(session_id))

    async def link(self, session_id: str, *, ttl_s: float) -> str:
        async with AsyncClient(self._url, self._token, retry_for_s=0) as client:
            return await _control_link(client, session_id, ttl_s)

    async def end(self, session_id: str) -> None:
        await self._supervisor.end_session(session_id)

    async def profile(self, name: str) -> ProfileInfo | None:
        return next((one for one in await self._supervisor.profiles() if one.name == name), None)

    async def give(self, profile: str, state: StorageState, *, takes_all: bool) -> int:  # noqa: ARG002
        return await self._supervisor.import_state(state, profile)

    async def take(self, profile: str) -> bytes:
        async with self._supervisor.session(profile=profile) as session:
            result = await session.handle.run(Read(Storage()))
            return b"".join([piece async for piece in result.pieces()])


@attrs.frozen
class _DaemonDesk:
    _client: AsyncClient
    is_own: bool = attrs.field(default=False, init=False)

    @property
    def engine(self) -> str:
        return "the daemon's browser"

    @property
    def socket(self) -> str | None:
        return self._client.socket

    async def log_in(self, profile: str, *, timeout_s: float, window: bool) -> str:
        async def begin() -> str:
            return (await self._client.log_in(profile, timeout_s=timeout_s, window=window)).session.id

        return await self._begin(begin)

    async def _begin(self, begin: Callable[[], Awaitable[str]]) -> str:
        """Begin a session; if this is cancelled, wait for its answer nevertheless, and end it."""
        with trio.CancelScope(shield=True):
            session_id = await begin()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            with trio.move_on_after(_END_S, shield=True):
                await self.end(session_id)
            raise
        return session_id

    async def look(self, session_id: str) -> Session:
        return (await self._client.session(session_id).info()).session

    async def link(self, session_id: str, *, ttl_s: float) -> str:
        return await _control_link(self._client, session_id, ttl_s)

    async def end(self, session_id: str) -> None:
        await self._client.session(session_id).end()

    async def profile(self, name: str) -> ProfileInfo | None:
        return next((one for one in await self._client.profiles() if one.name == name), None)

    async def give(self, profile: str, state: StorageState, *, takes_all: bool) -> int:
        content = msgspec.json.encode(state)
        return (await self._client.import_login(profile, content, takes_all=takes_all)).generation

    async def take(self, profile: str) -> bytes:
        session_id = await self._begin(functools.partial(self._client.create, profile=profile))
        try:
            return await self._client.session(session_id).storage()
        finally:
            with trio.move_on_after(_END_S, shield=True):
                await self.end(session_id)


async def _control_link(client: AsyncClient, session_id: str, ttl_s: float) -> str:
    session = client.session(session_id)
    return (await session.make_link(mode=WatchMode.CONTROL, ttl_s=ttl_s, name="greenroom login")).address
