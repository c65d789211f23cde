"""Profiles over HTTP: which there are, to log in to one, to give one a login, to use one by hand."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import trio
from quart import Response, request
from quart_trio import QuartTrio

from greenroom.actors.errors import ProfileNotFound
from greenroom.actors.lifecycle import (
    DEFAULT_PROFILE,
    ProfileMode,
    ProfileUse,
    SessionInfo,
    check_profile_name,
)
from greenroom.actors.profile.login_files import read_login_file
from greenroom.supervisor.api import Supervisor
from greenroom.web.display import display_problem
from greenroom.web.http.answers import json_answer
from greenroom.web.http.errors import InvalidRequest
from greenroom.web.http.exchanges import Exchange
from greenroom.web.http.headers import MODE_HEADER, PROFILE_HEADER
from greenroom.web.http.json_bodies import decode
from greenroom.web.http.keys import asked_key
from greenroom.web.http.profile_schemas import (
    BrowseRequest,
    ImportAnswer,
    ProfileAnswer,
    ProfileLoginRequest,
    ProfilesAnswer,
    StartedAnswer,
)
from greenroom.web.http.schemas import Session
from greenroom.web.http.session_addresses import live_address
from greenroom.web.http.session_paths import session_path
from greenroom.web.http.session_routes import refuse_daemon
from greenroom.web.settings import DaemonSettings

T = TypeVar("T")


def asked_profile() -> ProfileUse:
    """Return which profile the session is to be of, and what it may do with it.

    Raises `InvalidRequest`, and what `Who.check_use` raises.
    """
    given = _sole_header(MODE_HEADER, ProfileMode.READ.value)
    try:
        mode = ProfileMode(given.strip().lower())
    except ValueError:
        raise InvalidRequest(f"{MODE_HEADER} must be read or write") from None
    name = _sole_header(PROFILE_HEADER, DEFAULT_PROFILE).strip()
    use = _named(lambda: ProfileUse(name=name, mode=mode), f"{PROFILE_HEADER}: ")
    Exchange.current().asker.check_use(use)
    return use


def add_profile_routes(app: QuartTrio, supervisor: Supervisor, settings: DaemonSettings) -> None:
    """Add the routes to the app."""

    @app.get("/profiles")
    async def list_profiles() -> Response:
        """List the profiles."""
        who = Exchange.current().asker
        found = tuple(profile for profile in await supervisor.profiles() if who.sees(profile.name))
        count = "1 profile" if len(found) == 1 else f"{len(found)} profiles"
        return json_answer(ProfilesAnswer(message=count, profiles=found))

    @app.get("/profiles/<name>")
    async def get_profile(name: str) -> Response:
        """Show one profile."""
        _named(lambda: check_profile_name(name))
        for profile in await supervisor.profiles():
            if profile.name == name:
                return json_answer(ProfileAnswer(message=f"Profile {name}", profile=profile))
        raise ProfileNotFound(name)

    @app.post("/profiles/<name>/login")
    async def log_in(name: str) -> Response:
        """Start a session in which a person logs in to a profile."""
        _named(lambda: check_profile_name(name))
        asked, key = decode(await request.body or b"{}", ProfileLoginRequest), asked_key()
        if asked.window and (problem := await trio.to_thread.run_sync(display_problem)):
            raise InvalidRequest(problem)
        who = Exchange.current().asker
        info = await supervisor.open_login(
            name,
            timeout_s=asked.timeout_s,
            headless=not asked.window,
            idempotency_key=who.own(key),
            maker=who.maker,
        )
        return _started(supervisor, info, key, "Log in there; the session ends once you are")

    @app.post("/profiles/<name>/import")
    async def import_login(name: str) -> Response:
        """Give a profile the login in an exported file."""
        _named(lambda: check_profile_name(name))
        takes_all = _flag("all")
        url = None if takes_all else settings.tiktok_url
        read = functools.partial(read_login_file, await request.body, url=url, now=datetime.now(UTC))
        login = await trio.to_thread.run_sync(read)
        maker = Exchange.current().asker.maker
        generation = await supervisor.import_state(login.state, name, maker=maker)
        return json_answer(
            ImportAnswer(
                message=f"The profile {name} is logged in",
                profile=name,
                generation=generation,
                cookies=tuple(cookie.name for cookie in login.state.cookies),
                expired=login.expired,
                left_out=login.left_out,
            )
        )

    @app.post("/browse")
    async def browse() -> Response:
        """Start a session that a person uses by hand, which writes its profile."""
        use = asked_profile()
        if MODE_HEADER in request.headers and use.mode is ProfileMode.READ:
            raise InvalidRequest(f"{MODE_HEADER} can't be read: what is browsed is saved")
        asked, key = decode(await request.body or b"{}", BrowseRequest), asked_key()
        refuse_daemon(asked.url, settings)
        has_display = await trio.to_thread.run_sync(display_problem) is None
        who = Exchange.current().asker
        info = await supervisor.open_browse(
            use.name,
            url=asked.url,
            headless=not has_display,
            idempotency_key=who.own(key),
            maker=who.maker,
        )
        where = "Use it in its window" if has_display else "Use it in a browser"
        return _started(supervisor, info, key, where)


def _started(supervisor: Supervisor, info: SessionInfo, key: str | None, message: str) -> Response:
    if key is None:  # with a key, a client that missed the answer may ask again
        Exchange.current().undo = functools.partial(supervisor.end_session, info.id)
    headers = {"Location": session_path(info.id), "X-Session-Id": info.id}
    live = live_address(info.id)
    return json_answer(StartedAnswer(message=message, session=Session.of(info), live=live), 202, headers)


def _sole_header(name: str, default: str) -> str:
    given = request.headers.getlist(name)
    if len(given) > 1:
        raise InvalidRequest(f"There is more than one {name}")
    return given[0] if given else default


def _named(make: Callable[[], T], place: str = "") -> T:
    try:
        return make()
    except ValueError as exc:
        raise InvalidRequest(f"{place}{exc}") from None


def _flag(name: str) -> bool:
    if len(request.args.getlist(name)) > 1:
        raise InvalidRequest(f"There is more than one `?{name}`")
    given = request.args.get(name, "false").lower()
    if given not in {"true", "false"}:
        raise InvalidRequest(f"Expected true or false - at `?{name}`")
    return given == "true"
