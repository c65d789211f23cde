"""Logs a master profile in: a session that ends once its page shows a login, and what it has to say."""

import contextlib
import getpass
import socket
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

import trio

from greenroom.actors.lifecycle import DEFAULT_PROFILE, EndReason
from greenroom.actors.profile.cookies import SavedLogin
from greenroom.actors.verdict import LoginReason
from greenroom.supervisor.api import LOGIN_S
from greenroom.web.commands.desk import Desk
from greenroom.web.http.schemas import Session

LOOK_AGAIN_S: Final = 0.5
# How long a session may take to end after this command was stopped.
_END_S = 20.0

# A port of the user's machine, for a daemon that has none itself.
_FORWARDED = 8700
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}

_SEEN: Mapping[LoginReason, str] = {
    LoginReason.CHALLENGE: "The page shows a captcha: solve it there.",
    LoginReason.BLOCKED: "The site refuses the page.",
    LoginReason.RATE_LIMITED: "The site says that it was asked too often: wait a while.",
    LoginReason.REGION_BLOCKED: "The site is not available from here.",
    LoginReason.ACCOUNT_RESTRICTED: "Something keeps the account from the site: see the page.",
}


class Way(Enum):
    """How a person gets to the browser in which they log in."""

    WINDOW = "window"
    LIVE = "live"
    """By the live view, on a link."""
    NONE = "none"
    """Not at all: the site logs in by itself."""


async def log_in(
    desk: Desk,
    say: Callable[[str], None],
    *,
    way: Way,
    profile: str = DEFAULT_PROFILE,
    timeout_s: float = LOGIN_S,
) -> bool:
    """Run a browser at the configured site until somebody is logged in; return whether that was saved.

    The browser runs on a copy of the profile, which becomes the next generation, in one step, once its page
    has shown a login that lasts. Otherwise the profile stays as it is, however this ends. One that does not
    exist is made. Raises what the desk raises.
    """
    say(f"Opening {desk.engine} on a copy of the master profile ...")
    session_id = await desk.log_in(profile, timeout_s=timeout_s, window=way is Way.WINDOW)
    try:
        if way is Way.LIVE:
            _say_where(await desk.link(session_id, ttl_s=timeout_s), say, desk.socket)
        session = await _wait(desk, session_id, say, way)
    except BaseException:
        with trio.move_on_after(_END_S, shield=True), contextlib.suppress(Exception):
            await desk.end(session_id)
        raise
    return await _conclude(desk, session, profile, say, timeout_s)


def _say_where(address: str, say: Callable[[str], None], path: str | None) -> None:
    shown, tunnel = forwarded(address, path)
    is_here = tunnel is not None
    say(f"Log in at this address, with any browser:\n\n  {shown}\n")
    place = "From another machine, run" if path is None else "The daemon is at a Unix socket. Run"
    say((f"{place} `{tunnel}` first. " if is_here else "") + "Whoever has the address can use the browser.")


def forwarded(address: str, path: str | None) -> tuple[str, str | None]:
    """Return the address to use, and the command that makes it reachable from another machine.

    There is no command for an address of another host, which is reached as it is. A daemon at a Unix socket,
    at `path`, needs a port in front of it: with that, the address is another.
    """
    parts = urlsplit(address)
    if parts.hostname not in _LOOPBACK:
        return address, None
    target = f"127.0.0.1:{parts.port}"
    if path is not None:
        parts, target = parts._replace(netloc=f"127.0.0.1:{_FORWARDED}"), path
    return parts.geturl(), f"ssh -L {parts.port}:{target} {_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user that the system doesn't know
        return "USER"


async def _wait(desk: Desk, session_id: str, say: Callable[[str], None], way: Way) -> Session:
    """Return the session once it has ended. Say what its page shows meanwhile."""
    waiting = "Waiting until the page shows a login."
    say(f"{waiting} Log in there; close the window to give up." if way is Way.WINDOW else waiting)
    seen: LoginReason | None = None
    is_saving = False
    while True:
        session = await desk.look(session_id)
        reason = session.login_reason
        if reason is not None and reason is not seen and reason in _SEEN:
            say(_SEEN[reason])
        seen = reason
        if session.end_reason is EndReason.COMPLETED and not is_saving:
            is_saving = True
            say("Logged in. Saving the profile ...")
        if session.receipt is not None:
            return session
        await trio.sleep(LOOK_AGAIN_S)


async def _conclude(
    desk: Desk, session: Session, profile: str, say: Callable[[str], None], timeout_s: float
) -> bool:
    commit = session.receipt.commit if session.receipt else None
    if commit is not None and commit.generation is not None:
        saved = await desk.profile(profile)
        login = SavedLogin(names=saved.login, expires_at=saved.login_expires_at) if saved else None
        say(f"Saved: {describe_login(login)}." if login else "Saved.")
        return True
    match session.end_reason:
        case EndReason.EXPIRED:
            say(f"No login was seen within {timeout_s:g} s.")
        case EndReason.CLOSED_BY_CLIENT | EndReason.DELETED:
            say("The browser was closed before a login was seen.")
        case EndReason.COMPLETED if commit is not None:
            say(f"Nothing was saved. {commit.problem}.")
        case reason:
            say(f"Nothing was saved: the session has ended as {reason.value if reason else 'unknown'}.")
    return False


def describe_login(saved: SavedLogin) -> str:
    """Describe a profile's login, and until when it is valid, without secrets."""
    until = "" if saved.expires_at is None else f", until {saved.expires_at:%Y-%m-%d %H:%M} UTC at most"
    return f"{', '.join(saved.names)}{until}"
