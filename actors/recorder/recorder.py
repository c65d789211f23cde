"""One session's recorder: what happened lately, and what the browser showed."""

import functools
from collections import deque
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec
import structlog
import trio

from greenroom.actors.actions import actions, inputs
from greenroom.actors.bulkhead import report
from greenroom.actors.errors import GreenroomError
from greenroom.actors.events import EventKind, SessionEvent
from greenroom.actors.lifecycle import EndReason
from greenroom.actors.machine.ports import Browser, Workspace
from greenroom.actors.recorder.pace import Pace
from greenroom.actors.recorder.recorded import Recorded
from greenroom.actors.recorder.scrub import scrub

# How often there is a look at the pages, at most: with pictures, and without.
_PICTURE_PERIOD_S = 1.0
_PERIOD_S = 2.0
# How long the last look, and keeping the bundle, may take: an answer may wait for it.
_LAST_LOOK_S = 2.0
_KEEP_S = 5.0
_MAX_LINES = 1000
_MAX_TYPED = 500

_log = structlog.get_logger("greenroom.recorder")


@attrs.define(eq=False, kw_only=True, repr=False)
class Recorder:
    """Remembers the last `seconds` of a session, and makes a bundle of it if the session fails.

    Pictures wait in the session's scratch, the rest in memory. `with_pictures` says whether there are any
    before the failure.
    """

    session_id: str
    seconds: float
    with_pictures: bool
    pace: Pace
    _events: deque[tuple[float, dict[str, Any]]] = attrs.field(
        factory=lambda: deque(maxlen=_MAX_LINES), init=False
    )
    _latest: Recorded | None = attrs.field(default=None, init=False)
    _typed: deque[str] = attrs.field(factory=lambda: deque(maxlen=_MAX_TYPED), init=False)
    _typing: str = attrs.field(default="", init=False)
    _is_failing: bool = attrs.field(default=False, init=False)

    def hear(self, event: SessionEvent) -> None:
        """Remember an event."""
        line: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        if event.kind is EventKind.STATE:
            line |= {"event": event.session.state.value}
            if event.session.reason is not None:
                line["reason"] = event.session.reason.value
        else:
            line |= {"event": event.kind.value}
        if event.action is not None:
            line |= attrs.asdict(event.action)
        self._events.append((trio.current_time(), line))

    def note_typed(self, given: actions.Operation | inputs.Input) -> None:
        """Remember what a user types: it must not get into a bundle."""
        match given:
            case inputs.Text(text=text):
                self._typing = (self._typing + text)[-1000:]
                return
            case inputs.Key(key=key) | actions.Press(key=key) if len(key) == 1:
                self._typing = (self._typing + key)[-1000:]
                return
            case inputs.Mouse() | inputs.Wheel() | actions.Hover() | actions.Scroll():
                return
            case actions.Type(text=text) | inputs.Paste(text=text):
                self._typed.append(text)
            case actions.SelectOption(values=values):
                self._typed.extend(values)
            case actions.FillForm(fields=fields):
                self._typed.extend(field.value for field in fields if isinstance(field.value, str))
            case actions.Dialog(text=str(text)):
                self._typed.append(text)
            case _:
                pass
        if self._typing:
            self._typed.append(self._typing)
            self._typing = ""

    async def run(self, browser: Browser, workspace: Workspace) -> None:
        """Look at the pages again and again, until the session ends. That it can't be done is only logged."""
        while True:
            await trio.sleep(_PICTURE_PERIOD_S if self.with_pictures else _PERIOD_S)
            try:
                async with self.pace:
                    recorded = await browser.record(picture=self.with_pictures, page=False)
                if recorded.picture is not None:
                    await workspace.recording.add_picture(recorded.picture, keep_s=self.seconds)
                self._latest = recorded
                self._is_failing = False
            except Exception as exc:
                if not self._is_failing:
                    self._report("a session can't be recorded", exc)
                self._is_failing = True

    async def keep(
        self, reason: EndReason, error: GreenroomError | None, browser: Browser | None, workspace: Workspace
    ) -> bool:
        """Make the bundle; return whether it was made. Takes some seconds at most, even if cancelled."""
        try:
            if browser is not None and reason is not EndReason.BROWSER_LOST:
                with trio.move_on_after(_LAST_LOOK_S, shield=True):
                    self._latest = await browser.record(picture=False, page=True)
        except Exception as exc:
            self._report("a page can't be recorded", exc)
        try:
            with trio.fail_after(_KEEP_S, shield=True):
                await workspace.recording.keep(self._maker_of_files(reason, error))
        except Exception as exc:
            report(_log.warning, "a bundle can't be kept", session_id=self.session_id, detail=repr(exc))
            return False
        return True

    def _report(self, what: str, exc: Exception) -> None:
        report(_log.debug, what, session_id=self.session_id, detail=repr(exc))

    def _maker_of_files(
        self, reason: EndReason, error: GreenroomError | None
    ) -> Callable[[], dict[str, bytes]]:
        """Return what makes the bundle's files, without what was typed, of what is known now."""
        since = trio.current_time() - self.seconds
        events = [line for at, line in self._events if at >= since]
        secrets = {*self._typed, self._typing}
        return functools.partial(self._files, reason, error, events, secrets)

    def _files(
        self,
        reason: EndReason,
        error: GreenroomError | None,
        events: list[dict[str, Any]],
        secrets: Collection[str],
    ) -> dict[str, bytes]:
        about: dict[str, Any] = {
            "session": self.session_id,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "reason": reason.value,
            "error": None
            if error is None
            else {"type": type(error).__name__, "text": scrub(str(error), secrets), "id": error.id},
        }
        files = {"events.ndjson": _lines(events, secrets)}
        if (latest := self._latest) is not None:
            about["url"] = scrub(latest.url, secrets)
            files["console.ndjson"] = _lines(latest.console, secrets)
            files["network.ndjson"] = _lines(latest.network, secrets)
            if latest.html is not None:
                files["page.html"] = scrub(latest.html, secrets).encode(errors="replace")
            if latest.screenshot is not None:
                files["page.png"] = latest.screenshot
        return {"about.json": msgspec.json.format(msgspec.json.encode(about)), **files}


def _lines(lines: list[dict[str, Any]], secrets: Collection[str]) -> bytes:
    def clean(value: Any) -> Any:
        return scrub(value, secrets) if isinstance(value, str) else value

    return b"".join(
        msgspec.json.encode({name: clean(value) for name, value in line.items()}) + b"\n" for line in lines
    )
