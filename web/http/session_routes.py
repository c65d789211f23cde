"""What is done with a live session over HTTP: actions, resources to read, files, more time."""

import contextlib
import functools
from collections.abc import Mapping
from typing import Final, TypeVar

import attrs
import msgspec
from quart import Response, request
from quart_trio import QuartTrio

from greenroom.actors.actions import readings
from greenroom.actors.actions.actions import (
    Action,
    Back,
    Dialog,
    Forward,
    Navigate,
    PageClose,
    PageNew,
    PageSelect,
    Reload,
)
from greenroom.actors.actions.decoding import read_actions
from greenroom.actors.actions.readings import Reading
from greenroom.actors.commands import Act, PutFile, Read
from greenroom.actors.machine.result import Result
from greenroom.supervisor.api import Supervisor
from greenroom.web.http.answers import json_answer
from greenroom.web.http.control_routes import lease
from greenroom.web.http.errors import InvalidRequest, NotAllowed
from greenroom.web.http.exchanges import Exchange
from greenroom.web.http.json_bodies import checked, decode, from_query
from greenroom.web.http.own_address import is_own
from greenroom.web.http.schemas import (
    Actions,
    ExtendRequest,
    FetchRequest,
    Files,
    OneSession,
    VerdictAnswer,
)
from greenroom.web.http.session_addresses import playwright_address
from greenroom.web.http.session_paths import BASE
from greenroom.web.http.shares import Shares
from greenroom.web.http.uploads import open_uploads
from greenroom.web.http.who import while_allowed
from greenroom.web.settings import DaemonSettings

R = TypeVar("R", bound=Reading)

_JSON = "application/json"
_PICTURES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}

# What a person with a link may do beside what they do by hand: move between pages, and answer dialogs.
ACTIONS_BY_LINK: Final = (Back, Dialog, Forward, Navigate, PageClose, PageNew, PageSelect, Reload)

# Each resource that is read with GET: what is asked of the session, and the type of the answer.
RESOURCES: Final[Mapping[str, tuple[type[Reading], str]]] = {
    "snapshot": (readings.Snapshot, "application/yaml"),
    "html": (readings.Html, "text/plain; charset=utf-8"),
    "pdf": (readings.Pdf, "application/pdf"),
    "pages": (readings.Pages, _JSON),
    "cookies": (readings.Cookies, _JSON),
    "storage": (readings.Storage, _JSON),
    "console": (readings.Console, _JSON),
    "network": (readings.Network, _JSON),
    "downloads": (readings.Downloads, _JSON),
}


def add_session_routes(
    app: QuartTrio, supervisor: Supervisor, settings: DaemonSettings, shares: Shares
) -> None:
    """Add the routes below a session's own to the app."""
    _add_actions(app, supervisor, settings)
    _add_resources(app, supervisor, shares)
    _add_files(app, supervisor)
    _add_lifetime(app, supervisor)


def _add_actions(app: QuartTrio, supervisor: Supervisor, settings: DaemonSettings) -> None:
    @app.post(f"{BASE}/actions")
    async def act(session_id: str) -> Response:
        """Carry out one action, or several in order."""
        handle = supervisor.handle(session_id)
        asked = _read_actions(await request.body)
        steps = asked.steps
        is_by_link = Exchange.current().asker.link is not None
        if is_by_link and (asked.with_snapshot or asked.waits):
            raise NotAllowed("With a link there is no snapshot, and no waiting for control")
        for step in steps:
            if isinstance(step, Navigate | PageNew):
                refuse_daemon(step.url, settings)
            if is_by_link and not isinstance(step, ACTIONS_BY_LINK):
                raise NotAllowed("With a link, this is done by hand in the live view")
        run = functools.partial(
            handle.run,
            Act(steps, with_snapshot=asked.with_snapshot),
            lease=lease(),
            waits_for_control=asked.waits,
        )
        acted = await while_allowed(Exchange.current().asker, run)
        count = "1 action" if len(steps) == 1 else f"{len(steps)} actions"
        return json_answer(
            Actions(
                message=f"{count} carried out",
                results=acted.results,
                page=acted.page,
                snapshot=acted.snapshot,
            )
        )

    @app.post(f"{BASE}/fetch")
    async def fetch(session_id: str) -> Response:
        """Ask for a URL from within the page."""
        handle = supervisor.handle(session_id)
        asked = decode(await request.body, FetchRequest)
        refuse_daemon(asked.url, settings)
        fields = {name: getattr(asked, name) for name in asked.__struct_fields__}
        return _stream(await handle.run(Read(readings.Fetch(**fields)), lease=lease()), _JSON)


def _add_resources(app: QuartTrio, supervisor: Supervisor, shares: Shares) -> None:
    def add(name: str, kind: type[Reading], type_: str) -> None:
        async def read(session_id: str) -> Response:
            handle = supervisor.handle(session_id)
            asked = _from_query(kind)
            with shares.read(Exchange.current().asker, session_id):
                return _stream(await handle.run(Read(asked)), type_)

        read.__doc__ = kind.__doc__
        app.add_url_rule(f"{BASE}/{name}", endpoint=f"read_{name}", view_func=read, methods=["GET"])

    for name, (kind, type_) in RESOURCES.items():
        add(name, kind, type_)

    @app.get(f"{BASE}/screenshot")
    async def screenshot(session_id: str) -> Response:
        """Show a picture of the page."""
        handle = supervisor.handle(session_id)
        asked = _from_query(readings.Screenshot)
        with shares.read(Exchange.current().asker, session_id):
            return _stream(await handle.run(Read(asked)), _PICTURES[asked.type])

    @app.post(f"{BASE}/trace/start")
    async def start_trace(session_id: str) -> Response:
        """Begin to record what is done in the pages."""
        await supervisor.handle(session_id).run(Read(readings.TraceStart()))
        return Response(b"", status=204)

    @app.post(f"{BASE}/trace/stop")
    async def stop_trace(session_id: str) -> Response:
        """Stop the recording, and send it."""
        result = await supervisor.handle(session_id).run(Read(readings.TraceStop()))
        return _stream(result, "application/zip", filename="trace.zip")


def _add_files(app: QuartTrio, supervisor: Supervisor) -> None:
    @app.get(f"{BASE}/downloads/<path:name>")
    async def download(session_id: str, name: str) -> Response:
        """Send what a page has downloaded, once it is complete."""
        handle = supervisor.handle(session_id)
        asked = checked(lambda: msgspec.convert({"kind": "download", "name": name}, readings.Download))
        return _stream(await handle.run(Read(asked)), "application/octet-stream", filename=name)

    @app.post(f"{BASE}/files")
    async def put_files(session_id: str) -> Response:
        """Keep files for the action `upload`."""
        handle = supervisor.handle(session_id)
        async with open_uploads() as uploads:
            for upload in uploads:
                async with contextlib.aclosing(upload.pieces()) as pieces:
                    await handle.run(PutFile(upload.name, pieces))
        names = tuple(upload.name for upload in uploads)
        return json_answer(Files(message=f"{len(names)} stored", files=names))


def _add_lifetime(app: QuartTrio, supervisor: Supervisor) -> None:
    @app.patch(BASE)
    async def extend(session_id: str) -> Response:
        """Let a session live longer."""
        handle = supervisor.handle(session_id)
        asked = decode(await request.body, ExtendRequest)
        info = await handle.extend(asked.extend_s)
        return json_answer(
            OneSession.of(info, message="Session was extended", playwright=playwright_address(session_id))
        )

    @app.post(f"{BASE}/verdict")
    async def judge(session_id: str) -> Response:
        """Look at the page again: who is logged in."""
        verdict = await supervisor.handle(session_id).judge()
        return json_answer(VerdictAnswer.of(verdict))


@attrs.frozen
class _Asked:
    """Actions in a body, and how they are wanted."""

    steps: tuple[Action, ...]
    with_snapshot: bool
    waits: bool


def _read_actions(body: bytes) -> _Asked:
    """Return what a body asks for. Raises `InvalidRequest`."""
    given = decode(body, object)
    with_snapshot, on_held = False, "refuse"
    if isinstance(given, dict):
        with_snapshot, on_held = given.pop("snapshot", False), given.pop("on_held", on_held)
    if not isinstance(with_snapshot, bool):
        raise InvalidRequest("Expected `bool` - at `$.snapshot`")
    if on_held not in ("refuse", "wait"):  # no set: it may be what has no hash
        raise InvalidRequest("Expected `refuse` or `wait` - at `$.on_held`")
    return _Asked(checked(lambda: read_actions(given)), with_snapshot, on_held == "wait")


def _from_query(kind: type[R]) -> R:
    """Return a reading as the request's query string has it. Raises `InvalidRequest`."""
    return from_query(kind, kind=str(kind.__struct_config__.tag))


def refuse_daemon(url: str | None, settings: DaemonSettings) -> None:
    """Raise `InvalidRequest` for the daemon's own address: its sessions' pages have no business there."""
    if url is None:
        return
    try:
        is_here = is_own(url, settings)
    except ValueError:
        raise InvalidRequest("Expected an http or https URL - at `$.url`") from None
    if is_here:
        raise InvalidRequest("A session can't open the daemon's own address - at `$.url`")


def _stream(result: Result, type_: str, *, filename: str | None = None) -> Response:
    """Return an answer whose body is sent as it is read from the session's scratch."""
    response = Response(result.pieces(), content_type=type_)
    response.timeout = None  # the connection has a limit of its own, for a client that does not read
    response.headers["Content-Length"] = str(result.size)
    response.headers["Cache-Control"] = "no-store"
    # What comes from a page must never run as a page of the daemon's.
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    if filename is not None:
        response.headers.set("Content-Disposition", "attachment", filename=filename)
    return response
