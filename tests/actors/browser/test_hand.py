"""A person's hand in a page. Playwright's keyboard and mouse are faked."""

import asyncio
from typing import Any

import attrs
import pytest

from greenroom.actors.actions.inputs import Input, Key, Mouse, Release, Text
from greenroom.actors.browser.host.failures import OperationFailed
from greenroom.actors.browser.host.hand import Hand
from greenroom.actors.browser.host.pages import Pages
from tests.actors.browser.test_host_pages import FakeContext, FakePage


@attrs.define(eq=False)
class FakeDevice:
    """A keyboard or a mouse. It notes what the driver is asked to do, which takes until `is_busy` is over."""

    asked: list[str] = attrs.field(factory=list)
    is_busy: bool = False

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **_more: Any) -> None:
            self.asked.append(" ".join([name, *(str(arg) for arg in args)]))
            if self.is_busy:
                await asyncio.Event().wait()

        return ask


@attrs.define(eq=False)
class UsedPage(FakePage):
    """A page with a keyboard and a mouse."""

    keyboard: FakeDevice = attrs.field(factory=FakeDevice)
    mouse: FakeDevice = attrs.field(factory=FakeDevice)


def use(page: UsedPage, *inputs: Input, timeout_s: float = 5) -> None:
    async def run() -> None:
        context: Any = FakeContext(pages=[page])
        pages = Pages(context, lambda _: None)
        pages.attach()
        hand = Hand(pages)
        for given in inputs:
            await hand.do(given, timeout_s)

    asyncio.run(run())


def test_text_that_is_given_up_is_not_typed_later() -> None:
    """Of a text for a page that does not react, the driver knows one character when its time is over."""
    page = UsedPage(keyboard=FakeDevice(is_busy=True))
    with pytest.raises(OperationFailed):
        use(page, Text(text="hello"), timeout_s=0.05)
    assert page.keyboard.asked == ["type h"]


def test_what_is_held_down_is_let_go() -> None:
    """Keys and buttons, on the page where they were pressed; what was let go already is not let go again."""
    page = UsedPage()
    use(
        page,
        Key(key="Shift", action="down"),
        Key(key="a", action="down"),
        Key(key="a", action="up"),
        Mouse(action="down", x=1, y=2),
        Release(),
        Release(),
    )
    assert page.keyboard.asked == ["down Shift", "down a", "up a", "up Shift"]
    assert page.mouse.asked == ["move 1 2", "down", "up"]
