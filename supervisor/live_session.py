"""A live session for Python developers: one method for each thing that can be done in its pages."""

import builtins
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import msgspec
import trio

from greenroom.actors.actions import actions, readings
from greenroom.actors.actions.actions import Action, Modifier, WaitUntil
from greenroom.actors.actions.results import Acted, PageInfo
from greenroom.actors.commands import Act, PutFile, Read
from greenroom.actors.lifecycle import SessionInfo
from greenroom.actors.session.mailbox import SessionHandle
from greenroom.actors.verdict import Verdict


@attrs.frozen(repr=False)
class LiveSession:
    """A live session, as `Supervisor.session` opens it.

    `target` is a ref of the latest snapshot, such as `e5`, or a Playwright selector. What is done is done in
    the selected page; `on` gives the same session with another page. It may take 5 seconds, and 30 where a
    page loads, without the wait for its turn; `within` gives the same session with another limit.

    Every method raises a kind of `ActionFailed`, after which the session goes on, or `SessionEnded`.
    """

    handle: SessionHandle
    _page: str | None = None
    _timeout_s: float | None = None

    @property
    def id(self) -> str:
        """The session's id."""
        return self.handle.id

    def on(self, page: str) -> "LiveSession":
        """Return the session with `page`, a name from `pages`, in place of the selected page."""
        return attrs.evolve(self, page=page)

    def within(self, seconds: float) -> "LiveSession":
        """Return the session with another limit for what is done: at most 300 seconds."""
        return attrs.evolve(self, timeout_s=seconds)

    def info(self) -> SessionInfo:
        """Return the session as it is now."""
        return self.handle.info()

    async def judge(self) -> Verdict:
        """Look at the page again, as it is; return who is logged in."""
        return await self.handle.judge()

    async def extend(self, seconds: float) -> SessionInfo:
        """Let the session live longer, up to its ceiling; return it as it is then."""
        return await self.handle.extend(seconds)

    async def act(self, *steps: Action, snapshot: bool = False) -> Acted:
        """Carry out actions in order; the first that fails is the last."""
        return await self.handle.run(Act(steps, with_snapshot=snapshot))

    async def _do(self, kind: type[Action], **fields: Any) -> Any:
        acted = await self.act(kind(page=self._page, timeout=self._timeout_s, **fields))
        return msgspec.json.decode(acted.results[0].value)

    # Pages

    async def navigate(self, url: str, *, wait_until: WaitUntil = "load") -> int | None:
        """Load a URL; return the HTTP status, None for a download or an address within the page."""
        value = await self._do(actions.Navigate, url=url, wait_until=wait_until)
        return value["status"] if value else None

    async def back(self) -> None:
        """Go back in the page's history."""
        await self._do(actions.Back)

    async def forward(self) -> None:
        """Go forward in the page's history."""
        await self._do(actions.Forward)

    async def reload(self) -> None:
        """Load the page again."""
        await self._do(actions.Reload)

    async def page_new(self, url: str | None = None) -> str:
        """Open a page and select it; return its name."""
        name: str = (await self._do(actions.PageNew, url=url))["page"]
        return name

    async def page_select(self, page: str) -> None:
        """Select a page."""
        await self.act(actions.PageSelect(page=page))

    async def page_close(self) -> None:
        """Close the page, unless it is the last."""
        await self._do(actions.PageClose)

    # Elements

    async def click(
        self,
        target: str,
        *,
        button: Literal["left", "middle", "right"] = "left",
        modifiers: Sequence[Modifier] = (),
        double: bool = False,
    ) -> None:
        """Click an element, twice if `double`."""
        await self._do(actions.Click, target=target, button=button, modifiers=tuple(modifiers), double=double)

    async def type(self, target: str, text: str, *, submit: bool = False, slowly: bool = False) -> None:
        """Put text into a field; press Enter after it if `submit`; key by key if `slowly`."""
        await self._do(actions.Type, target=target, text=text, submit=submit, slowly=slowly)

    async def fill_form(self, fields: Mapping[str, str | bool]) -> None:
        """Fill in fields, by their targets: text, the name of an option, or whether a box is ticked."""
        given = tuple(actions.Field(target=target, value=value) for target, value in fields.items())
        await self._do(actions.FillForm, fields=given)

    async def press(self, key: str, target: str | None = None) -> None:
        """Press a key, such as `Enter` or `Control+A`, in an element or in whatever has the focus."""
        await self._do(actions.Press, key=key, target=target)

    async def hover(self, target: str) -> None:
        """Move the mouse over an element."""
        await self._do(actions.Hover, target=target)

    async def select_option(self, target: str, *values: str) -> list[str]:
        """Choose options of a `<select>`; return the values of those that are chosen now."""
        chosen: list[str] = await self._do(actions.SelectOption, target=target, values=values)
        return chosen

    async def check(self, target: str) -> None:
        """Tick a checkbox or choose a radio button."""
        await self._do(actions.CheckBox, target=target)

    async def uncheck(self, target: str) -> None:
        """Untick a checkbox."""
        await self._do(actions.UncheckBox, target=target)

    async def drag(self, target: str, to: str) -> None:
        """Drag one element onto another."""
        await self._do(actions.Drag, target=target, to=to)

    async def scroll(self, target: str | None = None, *, dx: float = 0, dy: float = 0) -> None:
        """Scroll an element into view, or turn the mouse wheel by so many pixels."""
        await self._do(actions.Scroll, target=target, dx=dx, dy=dy)

    async def wait_for(
        self,
        *,
        text: str | None = None,
        text_gone: str | None = None,
        target: str | None = None,
        url: str | None = None,
        seconds: float | None = None,
    ) -> None:
        """Wait until all that is named has come about; see `actions.WaitFor`."""
        await self._do(
            actions.WaitFor, text=text, text_gone=text_gone, target=target, url=url, seconds=seconds
        )

    async def evaluate(self, expression: str, arg: Any = None) -> Any:
        """Return what a JavaScript expression, or a function called with `arg`, comes to: JSON both ways."""
        return await self._do(actions.Evaluate, expression=expression, arg=arg)

    async def upload(self, target: str, *files: str) -> None:
        """Choose files in a file input, by the names under which `put_file` gave them to the session."""
        await self._do(actions.Upload, target=target, files=files)

    async def dialog(self, *, accept: bool = True, text: str | None = None) -> None:
        """Answer the dialog that the page shows or is about to show."""
        await self._do(actions.Dialog, accept=accept, text=text)

    # Reading

    async def _read(self, kind: builtins.type[readings.Reading], **fields: Any) -> bytes:
        result = await self.handle.run(Read(kind(page=self._page, timeout=self._timeout_s, **fields)))
        return await result.read()

    async def snapshot(self, *, depth: int | None = None) -> str:
        """Return the page's accessibility tree in YAML, with refs of what can be acted on."""
        return (await self._read(readings.Snapshot, depth=depth)).decode()

    async def screenshot(
        self,
        *,
        type: Literal["png", "jpeg", "webp"] = "png",  # noqa: A002  # Playwright's name for it
        quality: int | None = None,
        full_page: bool = False,
        target: str | None = None,
    ) -> bytes:
        """Return a picture of what the window shows, of the whole page, or of one element."""
        return await self._read(
            readings.Screenshot, type=type, quality=quality, full_page=full_page, target=target
        )

    async def html(self) -> str:
        """Return the page's HTML as it is now."""
        return (await self._read(readings.Html)).decode()

    async def pdf(self) -> bytes:
        """Return the page as it would be printed."""
        return await self._read(readings.Pdf)

    async def pages(self) -> list[PageInfo]:
        """Return the session's pages, oldest first."""
        return msgspec.json.decode(await self._read(readings.Pages), type=list[PageInfo])

    async def cookies(self) -> list[dict[str, Any]]:
        """Return all cookies, as Playwright describes them."""
        return await self._lines(readings.Cookies)

    async def storage(self) -> dict[str, Any]:
        """Return Playwright's storage state: cookies, local storage and IndexedDB."""
        state: dict[str, Any] = msgspec.json.decode(await self._read(readings.Storage))
        return state

    async def console(self) -> list[dict[str, Any]]:
        """Return the last 500 messages on the consoles of all pages."""
        return await self._lines(readings.Console)

    async def network(self) -> list[dict[str, Any]]:
        """Return the last 500 requests of all pages."""
        return await self._lines(readings.Network)

    async def downloads(self) -> list[dict[str, Any]]:
        """Return what pages have downloaded."""
        return await self._lines(readings.Downloads)

    async def download(self, name: str) -> bytes:
        """Wait until a download is complete; return its content."""
        return await self._read(readings.Download, name=name)

    async def _lines(self, kind: builtins.type[readings.Reading]) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = msgspec.json.decode(await self._read(kind))
        return lines

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> dict[str, Any]:
        """Ask for a URL from within the page; return `status`, `url`, `headers` and `body_base64`."""
        answer: dict[str, Any] = msgspec.json.decode(
            await self._read(readings.Fetch, url=url, method=method, headers=dict(headers or {}), body=body)
        )
        return answer

    async def put_file(self, name: str, content: bytes | Path | AsyncIterable[bytes]) -> None:
        """Give the session a file of at most 50 MB, for `upload`."""
        if isinstance(content, Path):
            content = await trio.Path(content).read_bytes()
        if not isinstance(content, bytes):
            await self.handle.run(PutFile(name, content))
            return
        async with contextlib.aclosing(_once(content)) as pieces:
            await self.handle.run(PutFile(name, pieces))

    async def trace_start(self) -> None:
        """Begin to record what is done in the pages."""
        await self._read(readings.TraceStart)

    async def trace_stop(self) -> bytes:
        """Stop the recording; return a zip file for Playwright's trace viewer."""
        return await self._read(readings.TraceStop)


async def _once(content: bytes) -> AsyncGenerator[bytes]:
    yield content
