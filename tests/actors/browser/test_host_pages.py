"""A host's pages: dialogs, crashes, and actions that a dialog holds up. Playwright's events are faked."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from greenroom.actors.actions.actions import Click, Dialog, Navigate, PageSelect
from greenroom.actors.browser.host import pages as module
from greenroom.actors.browser.host.doing import Doing
from greenroom.actors.browser.host.failures import OperationFailed
from greenroom.actors.browser.host.performing import Performer
from greenroom.actors.browser.wire.messages import Failure


@attrs.define(eq=False)
class Emitter:
    """Calls its listeners, as Playwright's objects do."""

    listeners: dict[str, list[Callable[[Any], None]]] = attrs.field(factory=dict)

    def on(self, event: str, listener: Callable[[Any], None]) -> None:
        self.listeners.setdefault(event, []).append(listener)

    def emit(self, event: str, value: Any) -> None:
        for listener in self.listeners.get(event, []):
            listener(value)


@attrs.define(eq=False)
class FakePage(Emitter):
    """A page without a browser."""

    url: str = "https://a.example/"
    is_gone: bool = False

    async def title(self) -> str:
        return "a title"

    def is_closed(self) -> bool:
        return self.is_gone


@attrs.define(eq=False)
class FakeContext(Emitter):
    """A context with one page."""

    pages: list[FakePage] = attrs.field(factory=lambda: [FakePage()])


@attrs.define(eq=False)
class FakeDialog:
    """A dialog that remembers how it was answered; `answered` is set then."""

    page: FakePage
    type: str = "confirm"
    message: str = "Really?"
    answer: str = ""
    answered: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def accept(self, text: str = "") -> None:
        self.answer = f"accepted {text}".strip()
        self.answered.set()

    async def dismiss(self) -> None:
        self.answer = "dismissed"
        self.answered.set()


@attrs.define(eq=False)
class Scene:
    """A session with one page, and an action `click` that shows dialogs, one after the other."""

    monkeypatch: pytest.MonkeyPatch
    context: FakeContext = attrs.field(factory=FakeContext)
    navigated: list[Any] = attrs.field(factory=list)
    performer: Performer = attrs.field(init=False)
    is_clicking: bool = False

    def __attrs_post_init__(self) -> None:
        context: Any = self.context
        self.performer = Performer.attach(context, Path("/nonexistent"), self.navigated.append)

    @property
    def page(self) -> FakePage:
        return self.context.pages[0]

    def show(self, **fields: Any) -> FakeDialog:
        dialog = FakeDialog(self.page, **fields)
        self.context.emit("dialog", dialog)
        return dialog

    def click_shows(self, *dialogs: FakeDialog) -> None:
        """Let a click show the dialogs, each after the one before was answered."""

        async def act(_doing: Doing, _action: Any) -> None:
            self.is_clicking = True
            try:
                for dialog in dialogs:
                    self.context.emit("dialog", dialog)
                    await dialog.answered.wait()
            finally:
                self.is_clicking = False

        self.monkeypatch.setattr(Doing, "_act", act)

    async def perform(self, operation: Any, timeout_s: float = 5) -> Any:
        done = await self.performer.perform(operation, timeout_s)
        assert isinstance(done, bytes)
        return json.loads(done)


def play(monkeypatch: pytest.MonkeyPatch, scene: Callable[[Scene], Any]) -> None:
    async def run() -> None:
        async with asyncio.timeout(20):
            await scene(Scene(monkeypatch))

    asyncio.run(run())


def test_dialog_before_anybody_uses_the_session_is_dismissed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to answer it, and the page would wait."""

    async def scene(scene: Scene) -> None:
        dialog = scene.show()
        await dialog.answered.wait()
        assert dialog.answer == "dismissed"

    play(monkeypatch, scene)


def test_page_that_asks_whether_to_leave_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Navigations would wait for an answer."""

    async def scene(scene: Scene) -> None:
        await scene.perform(PageSelect(page="p1"))
        dialog = scene.show(type="beforeunload")
        await dialog.answered.wait()
        assert dialog.answer == "accepted"

    play(monkeypatch, scene)


def test_dialog_that_nobody_answers_is_dismissed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The action that it held up is forgotten, and the page can be used again."""
    monkeypatch.setattr(module, "DIALOG_S", 0.05)

    async def scene(scene: Scene) -> None:
        dialog = FakeDialog(scene.page)
        scene.click_shows(dialog)
        done = await scene.perform(Click(target="e1"))
        assert done["dialog"] == {"type": "confirm", "message": "Really?"}
        with pytest.raises(OperationFailed) as refused:
            await scene.perform(Click(target="e1"))
        assert refused.value.kind is Failure.DIALOG
        await dialog.answered.wait()
        assert dialog.answer == "dismissed"
        await asyncio.sleep(0)
        scene.click_shows()
        assert (await scene.perform(Click(target="e1")))["dialog"] is None

    play(monkeypatch, scene)


def test_dialog_that_follows_another_is_told_with_the_answer_to_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer does not wait for an action that waits for the next answer."""

    async def scene(scene: Scene) -> None:
        first, second = FakeDialog(scene.page), FakeDialog(scene.page, type="alert", message="Done")
        scene.click_shows(first, second)
        await scene.perform(Click(target="e1"))
        done = await scene.perform(Dialog(text="Zoe"))
        assert (first.answer, done["dialog"]) == ("accepted Zoe", {"type": "alert", "message": "Done"})
        done = await scene.perform(Dialog(accept=False))
        assert (second.answer, done["dialog"], scene.is_clicking) == ("dismissed", None, False)

    play(monkeypatch, scene)


def test_action_that_is_cancelled_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a page where an action was once held up by a dialog."""

    async def scene(scene: Scene) -> None:
        dialog = FakeDialog(scene.page)
        scene.click_shows(dialog)
        await scene.perform(Click(target="e1"))
        await scene.perform(Dialog())

        async def wait(_doing: Doing, _action: Any) -> None:
            scene.is_clicking = True
            try:
                await asyncio.Event().wait()
            finally:
                scene.is_clicking = False

        monkeypatch.setattr(Doing, "_act", wait)
        task = asyncio.create_task(scene.perform(Click(target="e1")))
        while not scene.is_clicking:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert not scene.is_clicking

    play(monkeypatch, scene)


def test_page_that_has_crashed_says_so_until_it_is_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other actions are refused at once."""

    async def scene(scene: Scene) -> None:
        scene.page.emit("crash", scene.page)
        with pytest.raises(OperationFailed) as refused:
            await scene.perform(Click(target="e1"))
        assert refused.value.kind is Failure.CRASHED

        async def load(_doing: Doing, _action: Any) -> None:
            scene.page.emit("framenavigated", FakeFrame())

        monkeypatch.setattr(Doing, "do", load)
        await scene.perform(Navigate(url="https://a.example/"))
        assert (await scene.perform(Click(target="e1")))["page"]["title"] == "a title"

    play(monkeypatch, scene)


@attrs.define
class FakeFrame:
    """A page's main frame."""

    parent_frame: None = None


def test_many_navigations_are_told_once_with_the_last_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that navigates all the time does not flood the daemon."""
    monkeypatch.setattr(module, "_SETTLE_S", 0.05)

    async def scene(scene: Scene) -> None:
        for _ in range(100):
            scene.page.emit("framenavigated", FakeFrame())
        await asyncio.sleep(0.2)
        assert scene.navigated == [scene.page]

    play(monkeypatch, scene)
