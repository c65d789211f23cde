"""What can be done with a live session's browser: a class for each command.

`SessionHandle.run` runs one. A new command needs its class, and nothing else.
"""

import contextlib
from collections.abc import AsyncIterable
from typing import Protocol, TypeVar

import attrs
import msgspec
import trio

from greenroom.actors.actions.actions import Action, timeout_of
from greenroom.actors.actions.readings import READING_S, Reading, Snapshot
from greenroom.actors.actions.results import Acted, ActionResult, Outcome
from greenroom.actors.errors import ActionFailed, BrowserLost, InvalidAction, StaleRef
from greenroom.actors.machine.ports import Browser
from greenroom.actors.machine.result import Result

T_co = TypeVar("T_co", covariant=True)


class Command(Protocol[T_co]):
    """One thing to do with a live session's browser."""

    async def apply(self, browser: Browser) -> T_co:
        """Do it and return the result.

        What this raises goes to the caller and ends nothing else; only `BrowserLost` ends the session. It is
        cancelled when the caller leaves or the session ends. The session doesn't wait for it to react: the
        browser may be closed under it. Time limits are the caller's.
        """


@attrs.frozen
class Probe:
    """Ask the browser for a sign of life."""

    async def apply(self, browser: Browser) -> None:
        """Return once the browser has answered."""
        await browser.probe()


@attrs.frozen
class Act:
    """Carry out actions in order. The first that fails is the last; see `ActionFailed` for what it tells."""

    actions: tuple[Action, ...]
    with_snapshot: bool = False

    async def apply(self, browser: Browser) -> Acted:
        """Return a result for each action, and the page that the last one left."""
        if not self.actions:
            raise InvalidAction("There is no action")
        results: list[ActionResult] = []
        for index, action in enumerate(self.actions):
            try:
                outcome, result = await _act(browser, action)
            except ActionFailed as exc:
                exc.index, exc.kind, exc.done = index, _kind(action), tuple(results)
                if isinstance(exc, StaleRef):
                    with contextlib.suppress(ActionFailed):
                        exc.snapshot = await _snapshot(browser, action.page)
                raise
            results.append(result)
        snapshot = await _snapshot(browser, outcome.page.id) if self.with_snapshot else None
        return Acted(results=tuple(results), page=outcome.page, snapshot=snapshot)


async def _act(browser: Browser, action: Action) -> tuple[Outcome, ActionResult]:
    started = trio.current_time()
    done = await browser.perform(action, timeout_s=timeout_of(action))
    try:
        outcome = msgspec.json.decode(await done.read(), type=Outcome)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BrowserLost("The browser host does not say what came of an action") from exc
    result = ActionResult(
        kind=_kind(action),
        ms=round((trio.current_time() - started) * 1000),
        page=outcome.page.id,
        value=outcome.value,
        dialog=outcome.dialog,
    )
    return outcome, result


async def _snapshot(browser: Browser, page: str | None) -> str:
    result = await browser.perform(Snapshot(page=page), timeout_s=READING_S)
    return (await result.read()).decode(errors="replace")


def _kind(operation: Action | Reading) -> str:
    return str(operation.__struct_config__.tag)


@attrs.frozen
class Read:
    """Read something of the session."""

    reading: Reading

    async def apply(self, browser: Browser) -> Result:
        """Return the bytes of what is read."""
        timeout_s = self.reading.timeout or READING_S
        try:
            return await browser.perform(self.reading, timeout_s=timeout_s)
        except ActionFailed as exc:
            exc.kind = _kind(self.reading)
            raise


@attrs.frozen(eq=False)
class PutFile:
    """Give the session a file, which the action `upload` can then choose by its name."""

    name: str
    content: AsyncIterable[bytes]

    async def apply(self, browser: Browser) -> None:
        """Return once the session has all of it."""
        await browser.put_file(self.name, self.content)
