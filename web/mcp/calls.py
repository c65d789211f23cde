"""What happens when a tool is called: requests to the daemon, and its answers in words."""

import base64
import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import attrs
import msgspec
from mcp.types import CallToolResult, ImageContent, TextContent

from greenroom.actors.actions.readings import Reading, Screenshot, Snapshot
from greenroom.actors.actions.results import OpenDialog, PageInfo
from greenroom.actors.lifecycle import ProfileMode
from greenroom.web.client import ApiError, AsyncClient, AsyncRemoteSession, ClientError, DaemonUnreachable
from greenroom.web.mcp.tools import ACTIONS, READINGS, TABS, SessionExtend, SessionNew

Arguments = Mapping[str, Any]
T = TypeVar("T", bound=msgspec.Struct)

# Where msgspec has found something wrong: the caller has written the fields alone, in no list.
_PLACE: Final = re.compile(r" - at `\$(?:\.actions\[0\])?\.?([^`]*)`")


class NotCalled(Exception):
    """The call is wrong; the text is for whoever has made it."""


@attrs.define(eq=False)
class Calls:
    """Carries out calls of tools. It remembers which session was used last, and which ones it has made."""

    _client: AsyncClient
    _current: str | None = attrs.field(default=None, init=False)
    _made: list[str] = attrs.field(factory=list, init=False)

    async def call(self, name: str, arguments: Arguments) -> CallToolResult:
        """Carry out a call. What goes wrong is in the result, too."""
        try:
            return await self._call(name, dict(arguments))
        except NotCalled as exc:
            return _failed(str(exc))
        except ApiError as exc:
            fresh = exc.details.snapshot
            parts = [f"{exc.code}: {_placed(str(exc))}", *_more(exc), *([_snapshot(fresh)] if fresh else [])]
            return _failed("\n\n".join(parts))
        except DaemonUnreachable as exc:
            return _failed(f"{exc} ({exc.hint})" if exc.hint else str(exc))

    async def end_made(self) -> None:
        """End the sessions that were made here, as far as the daemon answers."""
        while self._made:
            with contextlib.suppress(ClientError):
                await self._client.session(self._made.pop()).end()

    async def _call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        match name:
            case "session_new":
                return await self._new(_as(SessionNew, arguments))
            case "session_list":
                return await self._list()
            case "session_end":
                return await self._end(await self._session(arguments))
        session = await self._session(arguments)
        result = await self._use(session, name, arguments)
        self._current = session.id  # only now: whoever mistypes an id once still has the last session
        return result

    async def _use(self, session: AsyncRemoteSession, name: str, arguments: dict[str, Any]) -> CallToolResult:
        match name:
            case "session_extend":
                answer = await session.extend(_as(SessionExtend, arguments).seconds)
                return _said(f"The session lives until {_time(answer.session.expires_at)}.")
            case "browser_tabs":
                return await self._tabs(session, arguments)
        if name in ACTIONS:
            return await self._act(session, _tag(ACTIONS[name]), arguments)
        if name in READINGS:
            asked = _as(READINGS[name], arguments)
            return _shown(asked, await session.read(asked))
        raise NotCalled(f"There is no tool {name}")

    async def _session(self, arguments: dict[str, Any]) -> AsyncRemoteSession:
        """Return the session that a call is for, and take its name out of the arguments."""
        named = arguments.pop("session", None) or self._current or await self._only_one()
        try:
            return self._client.session(str(named))
        except ValueError as exc:
            raise NotCalled(str(exc)) from None

    async def _only_one(self) -> str:
        """Return the only session that there is. Raises `NotCalled`."""
        there = await self._client.sessions()
        if len(there) == 1:
            return there[0].id
        if not there:
            raise NotCalled("There is no session: session_new makes one")
        raise NotCalled("There are several sessions: name one as `session`. session_list shows them")

    async def _new(self, asked: SessionNew) -> CallToolResult:
        mode = ProfileMode.WRITE if asked.write else ProfileMode.READ
        session_id = await self._client.create(profile=asked.profile, mode=mode)
        self._made.append(session_id)
        self._current = session_id
        answer = await self._client.session(session_id).info()
        viewer = f", logged in as {answer.viewer}" if answer.viewer else ""
        return _said(f"Session {session_id} is live until {_time(answer.session.expires_at)}{viewer}.")

    async def _list(self) -> CallToolResult:
        lines = [
            f"{one.id} {one.state.value}, profile {one.profile}, "
            f"until {_time(one.expires_at) or 'it is live'}"
            + (", used last" if one.id == self._current else "")
            for one in await self._client.sessions()
        ]
        return _said("\n".join(lines) or "There is no session: session_new makes one.")

    async def _end(self, session: AsyncRemoteSession) -> CallToolResult:
        await session.end()
        if session.id == self._current:
            self._current = None
        if session.id in self._made:
            self._made.remove(session.id)
        return _said(f"Session {session.id} has ended.")

    async def _act(self, session: AsyncRemoteSession, kind: str, arguments: Arguments) -> CallToolResult:
        answer = await session.act({**arguments, "kind": kind}, snapshot=True)
        [result] = answer.results
        parts = [] if bytes(result.value) == b"null" else [f"Result: {bytes(result.value).decode()}"]
        parts.append(_page(answer.page, result.dialog))
        if answer.snapshot is not None:
            parts.append(_snapshot(answer.snapshot))
        return _said("\n\n".join(parts))

    async def _tabs(self, session: AsyncRemoteSession, arguments: dict[str, Any]) -> CallToolResult:
        action = arguments.pop("action", None)
        if action not in TABS:
            raise NotCalled(f"Expected one of {', '.join(TABS)} as action")
        if action != "list":
            return await self._act(session, _tag(TABS[action]), arguments)
        return _said("\n".join(map(_page, await session.pages())))


def _tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _as(type_: type[T], arguments: Arguments) -> T:
    kind = {"kind": tag} if (tag := type_.__struct_config__.tag) else {}
    try:
        return msgspec.convert({**arguments, **kind}, type_)
    except msgspec.ValidationError as exc:
        raise NotCalled(_placed(str(exc))) from None


def _placed(text: str) -> str:
    """Return what is wrong, with the argument that it is wrong in."""
    return _PLACE.sub(lambda match: f" - at `{match[1]}`" if match[1] else "", text)


def _time(time: datetime | None) -> str:
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _page(page: PageInfo, opened: OpenDialog | None = None) -> str:
    dialog = page.dialog or opened
    return f'Page {page.id}{" (selected)" if page.selected else ""}: {page.url} "{page.title}"' + (
        f'\nIt shows a dialog ({dialog.type}): "{dialog.message}"' if dialog else ""
    )


def _snapshot(tree: str) -> str:
    return f"Snapshot:\n```yaml\n{tree.rstrip()}\n```"


def _more(error: ApiError) -> list[str]:
    """Say what else helps to go on: who has control, or how the session has ended."""
    held, reason = error.details.held, error.details.end_reason
    if held is not None:
        return [f"{held.by} has control, until {held.until:%H:%M:%S} UTC at most. Reading goes on."]
    return [f"The session has ended as {reason.value}: session_new makes another."] if reason else []


def _said(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def _shown(asked: Reading, content: bytes) -> CallToolResult:
    """Return what was read: a picture, a snapshot, or a list with a line for each entry."""
    match asked:
        case Screenshot(type=type_):
            data = base64.b64encode(content).decode()
            return CallToolResult(content=[ImageContent(type="image", data=data, mime_type=f"image/{type_}")])
        case Snapshot():
            return _said(_snapshot(content.decode("utf-8", "replace")))
    entries = msgspec.json.decode(content, type=list[msgspec.Raw])
    return _said("\n".join(bytes(entry).decode() for entry in entries) or "Nothing yet.")
