"""Pictures, hands and the recorder on a real Firefox, over HTTP."""

import base64
import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from greenroom.actors.actions.actions import Evaluate, Type
from greenroom.actors.actions.inputs import Key, Mouse, Paste, Text, Wheel
from greenroom.actors.commands import Act
from greenroom.actors.session.view import Watching
from greenroom.supervisor.api import open_supervisor
from greenroom.supervisor.live_session import LiveSession
from greenroom.supervisor.machine import open_machine
from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.programs import programs
from tests.real.conftest import POLL_S, browser_processes, open_client

pytestmark = pytest.mark.browser

CANARY = "canary"
NOTE_KEYS = """
    window.keys = [];
    for (const type of ["keydown", "keyup"])
        addEventListener(type, event => window.keys.push(`${type} ${event.key}`));
"""
STRICT = """
    const policy = document.createElement("meta");
    policy.httpEquiv = "Content-Security-Policy";
    policy.content = "default-src 'none'";
    document.head.append(policy);
"""
# Returns the darkest and the brightest red within some elements, as a JPEG of the page shows them.
COLOURS = """async ([jpeg, selectors]) => {
    const bytes = Uint8Array.from(atob(jpeg), (one) => one.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes]));
    const canvas = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
    canvas.drawImage(picture, 0, 0);
    const scale = picture.width / innerWidth;
    return selectors.map((selector) => {
        const box = document.querySelector(selector).getBoundingClientRect();
        const {data} = canvas.getImageData(
            scale * box.x + 8, scale * box.y + 8, scale * box.width - 16, scale * box.height - 16);
        const colours = [];
        for (let at = 0; at < data.length; at += 4) colours.push(data[at]);
        return [Math.min(...colours), Math.max(...colours)];
    });
}"""
MIDDLE = """selector => {
    const element = document.querySelector(selector);
    element.scrollIntoView({block: "center"});
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
}"""


async def test_page_is_seen_and_used_by_hand(settings: DaemonSettings, site: str) -> None:
    """Pictures follow what is done, and the selected tab; one that shows nothing new is not sent."""
    async with open_supervisor(settings) as supervisor, supervisor.session() as session:
        await session.navigate(f"{site}/workshop")
        handle = session.handle
        lease = (await handle.take_control("Ada", patience(60))).token
        async with handle.watch("Ada") as watching:
            first = await watching.view.next(0, fps=10, quality=60)
            assert first.frame.jpeg.startswith(b"\xff\xd8")
            assert (first.frame.page, first.frame.width > 600, first.frame.height > 300) == ("p1", True, True)
            settled = await settle(watching, first.seq)
            x, y = await middle(session, "#caption", lease)
            for action in ("move", "down", "up"):
                await watching.do_by_hand(Mouse(action=action, x=x, y=y), lease)
            await watching.do_by_hand(Text(text="by hand"), lease)
            await watching.do_by_hand(Paste(text=", pasted ü"), lease)
            await watching.do_by_hand(Key(key="Backspace"), lease)
            await watching.do_by_hand(Wheel(x=x, y=y, dy=40), lease)
            await handle.run(Act((Evaluate(expression=NOTE_KEYS),)), lease=lease)
            await watching.do_by_hand(Key(key="Shift", action="down"), lease)
            with trio.fail_after(patience(20)):
                assert (await watching.view.next(settled, fps=10, quality=60)).frame.jpeg != first.frame.jpeg
            await handle.give_back_control(lease)
            assert await session.evaluate("document.getElementById('caption').value") == "by hand, pasted "
            with trio.fail_after(patience(5)):  # what a hand holds down is let go with control
                while await session.evaluate("window.keys") != ["keydown Shift", "keyup Shift"]:
                    await trio.sleep(POLL_S)
            seen = (await watching.view.next(0, fps=10, quality=60)).seq
            await session.page_new(f"{site}/workshop/frame")
            with trio.fail_after(patience(20)):
                while (shown := await watching.view.next(seen, fps=10, quality=60)).frame.page != "p2":
                    seen = shown.seq


async def settle(watching: Watching, seq: int) -> int:
    """Wait until the page shows nothing new for half a second; return the last picture's number."""
    while True:
        with trio.move_on_after(0.5):
            seq = (await watching.view.next(seq, fps=10, quality=60)).seq
            continue
        return seq


async def middle(session: LiveSession, selector: str, lease: str) -> tuple[float, float]:
    """Return where an element is. Reading needs no control, but a script does."""
    place = Evaluate(expression=MIDDLE, arg=selector)
    acted = await session.handle.run(Act((place,)), lease=lease)
    x, y = json.loads(bytes(acted.results[0].value))
    return x, y


async def test_dialog_that_a_hand_opens_is_answered_by_an_action(settings: DaemonSettings, site: str) -> None:
    """The hand is not stuck; while it is open, nothing else is done."""
    async with open_supervisor(settings) as supervisor, supervisor.session() as session:
        await session.navigate(f"{site}/workshop")
        lease = (await session.handle.take_control("Ada", patience(60))).token
        x, y = await middle(session, "#prompt", lease)
        async with session.handle.watch("Ada") as watching:
            for action in ("down", "up"):
                await watching.do_by_hand(Mouse(action=action, x=x, y=y), lease)
            await session.handle.give_back_control(lease)
            await session.dialog(text="Zoe")
            assert await session.evaluate("document.getElementById('said').textContent") == "Name: Zoe"


async def test_pictures_of_the_recorder_show_no_field(settings: DaemonSettings, site: str) -> None:
    """Each is a grey box, also where the page's policy forbids styles. The rest is shown."""
    async with open_machine(settings) as machine, machine.open_workspace("a") as workspace:
        browser = await workspace.launch(headless=True)
        await browser.navigate(f"{site}/workshop")
        for action in (Evaluate(expression=STRICT), Type(target="#story", text="typed")):
            await browser.perform(action, timeout_s=patience(5))
        recorded = await browser.record(picture=True, page=False)
        assert recorded.picture is not None
        jpeg = base64.b64encode(recorded.picture).decode()
        colours = Evaluate(expression=COLOURS, arg=[jpeg, ["#story", "h1"]])
        seen = json.loads(await (await browser.perform(colours, timeout_s=patience(5))).read())["value"]
        (darkest, brightest), heading = seen
        assert 108 < darkest <= brightest < 148, seen  # a JPEG is not exact
        assert heading[1] - heading[0] > 50, seen


@pytest.fixture
async def bundle(settings: DaemonSettings, site: str) -> AsyncIterator[dict[str, bytes]]:
    """What is kept of a session in which secrets were used, and whose browser was then killed."""
    async with open_client(settings) as client:
        answer = await client.create()
        path = answer.headers["Location"]
        act = f"{path}/actions"
        steps = [
            {"kind": "navigate", "url": f"{site}/workshop?token={CANARY}-in-the-url-0123456789"},
            {"kind": "evaluate", "expression": f"document.cookie = 'short={CANARY}cookie; path=/'"},
            {"kind": "evaluate", "expression": "console.log('page says ' + document.cookie)"},
            {"kind": "type", "target": "#caption", "text": f"{CANARY}-typed"},
            {
                "kind": "evaluate",
                "expression": "console.log('caption ' + document.getElementById('caption').value)",
            },
        ]
        done = await client.http.post(act, json={"actions": steps})
        assert done.status_code == 200, done.text
        await trio.sleep(3)  # the recorder looks every two seconds
        for program in programs(browser_processes()):
            if "-contentproc" not in program.words:
                program.kill()
        session = await client.ended(path, within_s=10)
        assert (session["end_reason"], session["has_bundle"]) == ("browser_lost", True)
        kept = await client.http.get(f"{path}/bundle")
        assert (kept.status_code, kept.headers["Content-Type"]) == (200, "application/zip")
        with zipfile.ZipFile(io.BytesIO(kept.content)) as archive:
            yield {name: archive.read(name) for name in archive.namelist()}


async def test_bundle_of_a_lost_browser_says_what_happened_and_holds_no_secret(
    bundle: dict[str, bytes],
) -> None:
    """No cookie, no query of a URL, nothing that was typed."""
    assert json.loads(bundle["about.json"])["reason"] == "browser_lost"
    assert b'"kind":"type"' in bundle["events.ndjson"]
    assert b"page says" in bundle["console.ndjson"]
    assert b"/workshop" in bundle["network.ndjson"]
    assert [name for name, content in bundle.items() if CANARY.encode() in content] == []


async def test_refused_creation_names_its_bundle_with_the_page(
    settings: DaemonSettings, logged_out_master: Path
) -> None:
    """The page as it was, without what its scripts and fields hold, and a picture of it."""
    async with open_client(settings, user_data_master_dir=logged_out_master) as client:
        answer = await client.create()
        details = answer.json()["error_details"]
        assert (answer.status_code, details["code"]) == (409, "NOT_LOGGED_IN")
        kept = await client.http.get(details["bundle"])
        with zipfile.ZipFile(io.BytesIO(kept.content)) as archive:
            html = archive.read("page.html").decode()
            assert archive.read("page.png").startswith(b"\x89PNG")
        assert "<body" in html
        assert not re.search(r"<script[^>]*>\s*[^\s<]", html)
