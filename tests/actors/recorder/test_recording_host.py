"""What a host tells the recorder. The browser is faked."""

import asyncio
from typing import Any

import attrs
import msgspec

from greenroom.actors.browser.host.pages import Pages
from greenroom.actors.browser.host.recording import RecordingHost
from greenroom.actors.recorder.recorded import Recorded
from tests.actors.browser.test_host_pages import FakeContext

COOKIE = "s3cret-of-a-cookie"


@attrs.define(eq=False)
class CookieContext(FakeContext):
    """A context with one cookie."""

    async def cookies(self) -> list[dict[str, str]]:
        return [{"name": "sessionid", "value": COOKIE}]


def look(*lines: str) -> list[str]:
    """Return what is told of these lines of a console."""

    async def run() -> bytes:
        context: Any = CookieContext()
        pages = Pages(context, lambda _: None)
        pages.attach()
        pages.console.extend({"at": 0.0, "type": "log", "text": line} for line in lines)
        return await RecordingHost(context, pages).look(picture=False, page=False)

    recorded = msgspec.json.decode(asyncio.run(run()), type=Recorded)
    return [line["text"] for line in recorded.console]


def test_cookie_is_left_out_of_a_line() -> None:
    """What else it says is told."""
    assert look(f"got {COOKIE}!") == ["got (hidden)!"]


def test_cookie_that_the_end_of_a_line_has_cut_is_left_out() -> None:
    """Lines have a limit, and no known secret is found where only its beginning is left."""
    line = f"{'word ' * 400}"[: 2000 - 8] + COOKIE[:8]
    assert COOKIE[:8] not in look(line)[0]
    assert look(line)[0].startswith("word word")
