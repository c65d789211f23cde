"""The HTTP front over a fake machine, for the tests in this directory."""

import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio

from greenroom import Supervisor
from greenroom.actors.events import SessionEvent
from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.history import History
from greenroom.web.commands.serve import open_daemon
from greenroom.web.http.tokens import Token, Tokens
from greenroom.web.settings import DaemonSettings
from tests.patience import patience

SESSIONS = "/tiktok/session"
PATIENCE_S = patience(10.0)
ALL = Tokens(())  # a daemon without tokens lets everybody in
# Fields of error_details that differ each time, and those that follow from the rest.
OCCURRENCE = {"request_id", "session_id", "phase", "retryable", "bundle"}
# To load the machine's certificates takes longer than most tests.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SOON_S = patience(1.0)  # how long "at once" may take on a busy machine


@attrs.frozen(kw_only=True)
class Front:
    """A daemon that serves real HTTP, a client for it, and everything that its sessions published."""

    url: str
    client: httpx.AsyncClient
    machine: FakeMachine
    supervisor: Supervisor
    events: list[SessionEvent]

    async def create(self, **request: Any) -> httpx.Response:
        """Ask for a session."""
        return await self.client.post(SESSIONS, **request)

    async def establish(self) -> str:
        """Create a session and return its path."""
        response = await self.create()
        assert response.status_code == 200
        return response.headers["Location"]


@asynccontextmanager
async def open_front(
    machine: FakeMachine | None = None,
    *,
    history: History | None = None,
    tokens: Sequence[Token] = (),
    **settings: Any,
) -> AsyncIterator[Front]:
    """Run a daemon for the length of the block. Check at the end that nothing of its sessions is left."""
    machine = machine or FakeMachine()
    events: list[SessionEvent] = []
    async with (
        open_daemon(make_settings(**settings), machine=machine, history=history) as daemon,
        open_client(daemon.url) as client,
    ):
        if tokens:
            daemon.tokens.replace(tokens)
        with daemon.supervisor.events.subscribed(events.append):
            yield Front(
                url=daemon.url,
                client=client,
                machine=machine,
                supervisor=daemon.supervisor,
                events=events,
            )
    assert (machine.clones, machine.browsers) == (set(), {})


def make_settings(**settings: Any) -> DaemonSettings:
    """Return settings for a daemon on a free port. A try at the verdict takes no longer than a creation."""
    creation_s = settings.get("session_creation_timeout", 30)
    detection = {"login_detection_timeout": creation_s / 2} if creation_s <= 8 else {}
    return DaemonSettings(**{"bind": "127.0.0.1:0", "warm_sessions": 0, **detection, **settings})


@asynccontextmanager
async def open_client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client that ignores the environment's proxies."""
    async with httpx.AsyncClient(
        base_url=url, timeout=PATIENCE_S, trust_env=False, verify=NO_CERTIFICATES
    ) as client:
        yield client


class _Refusal(dict[str, Any]):
    """The body of a refusal. Comparisons ignore the fields that differ each time."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, dict) or "request_id" not in other.get("error_details", {}):
            return False
        details = other["error_details"]
        kept = {name: value for name, value in details.items() if name not in OCCURRENCE}
        return dict(self) == other | {"error_details": kept}

    __hash__ = None


def error(message: str, code: str, details: str, **more: Any) -> dict[str, Any]:
    """Return the expected body of a refusal, to compare with an answer."""
    return _Refusal(status="error", message=message, error_details={"code": code, "details": details, **more})


async def until(condition: Callable[[], bool]) -> float:
    """Wait until `condition` holds; return the seconds that it took."""
    started = time.monotonic()
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.01)
    return time.monotonic() - started
