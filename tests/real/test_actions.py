"""Actions and resources of a live session, over HTTP, on a real browser and the practice site's workshop."""

import base64
import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import attrs
import httpx
import pytest
import trio

from greenroom.actors.browser.cells.marks import own_processes
from greenroom.actors.errors import ActionTimedOut, StaleRef
from greenroom.supervisor.api import open_supervisor
from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.real.conftest import Client, clones_in, open_client

pytestmark = pytest.mark.browser


@attrs.frozen
class Workshop:
    """A live session that shows the workshop, and its path."""

    client: Client
    path: str
    site: str

    async def post(self, *steps: dict[str, Any], **more: Any) -> httpx.Response:
        return await self.client.http.post(f"{self.path}/actions", json={"actions": list(steps), **more})

    async def act(self, *steps: dict[str, Any]) -> list[Any]:
        """Carry out actions, and return their values."""
        answer = await self.post(*steps)
        assert answer.status_code == 200, answer.text
        return [done["value"] for done in answer.json()["results"]]

    async def said(self, *steps: dict[str, Any]) -> str:
        """Carry out actions, and return what the page says then."""
        look = {"kind": "evaluate", "expression": "document.getElementById('said').textContent"}
        said: str = (await self.act(*steps, look))[-1]
        return said

    async def fails(self, *steps: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = await self.post(*steps)
        return answer.status_code, answer.json()["error_details"]

    async def get(self, resource: str) -> httpx.Response:
        answer = await self.client.http.get(f"{self.path}/{resource}")
        assert answer.status_code == 200, answer.text
        return answer

    async def open(self) -> None:
        await self.act({"kind": "navigate", "url": f"{self.site}/workshop"})


@pytest.fixture
async def workshop(settings: DaemonSettings, site: str) -> AsyncIterator[Workshop]:
    """A live session; the whole of it is gone afterwards."""
    async with open_client(settings) as client:
        created = await client.create()
        assert created.status_code == 200, created.text
        workshop = Workshop(client, created.headers["Location"], site)
        await workshop.open()
        yield workshop
        assert (await client.http.delete(workshop.path)).status_code == 204
        assert client.left() == (0, 0)


def click(target: str, **more: Any) -> dict[str, Any]:
    return {"kind": "click", "target": target, **more}


async def test_every_action_does_what_it_says(workshop: Workshop) -> None:
    """One session for all of them: a launch costs more than they do."""
    # Fields, and what a form sends.
    values = await workshop.act(
        {"kind": "type", "target": "#caption", "text": "x"},
        {"kind": "type", "target": "#caption", "text": "hello"},
        {"kind": "press", "key": "!", "target": "#caption"},
        {"kind": "select_option", "target": "#audience", "values": ["friends"]},
        {"kind": "check", "target": "#comments"},
        {"kind": "check", "target": "#video"},
        {"kind": "fill_form", "fields": [{"target": "#story", "value": "once upon"}]},
        {"kind": "type", "target": "#story", "text": " a time", "slowly": True},
        {
            "kind": "evaluate",
            "expression": "(form) => Object.fromEntries(new FormData(document.getElementById(form)))",
            "arg": "form",
        },
    )
    assert values[3] == ["friends"]
    assert values[-1].pop("file") == {}
    assert values[-1] == {
        "caption": "hello!",
        "story": "once upon a time",
        "audience": "friends",
        "comments": "on",
        "kind": "video",
    }
    fields = [{"target": "#audience", "value": "Only me"}, {"target": "#comments", "value": False}]
    await workshop.act({"kind": "fill_form", "fields": fields}, {"kind": "check", "target": "#comments"})
    await workshop.act({"kind": "uncheck", "target": "#comments"})
    # The mouse and the keyboard.
    assert await workshop.said({"kind": "hover", "target": "#hover"}) == "Hovered"
    assert await workshop.said({"kind": "press", "key": "F2"}) == "F2 pressed"
    assert await workshop.said({"kind": "drag", "target": "#card", "to": "#basket"}) == "Dropped"
    assert await workshop.said(click("#inside")) == "Shadow clicked"
    scrolled = await workshop.act(
        {"kind": "scroll", "target": "#deep"}, {"kind": "evaluate", "expression": "scrollY > 1000"}
    )
    assert scrolled[-1] is True
    await workshop.act({"kind": "scroll", "dy": -100000})
    # What takes its time.
    assert await workshop.said(click("#later"), {"kind": "wait_for", "text": "It is later"}) == "It is later"
    await workshop.act(
        {"kind": "wait_for", "text_gone": "Dropped", "target": "#list", "url": "**/workshop", "seconds": 0.1}
    )
    # Dialogs.
    answer = (await workshop.post(click("#alert"))).json()
    assert answer["results"][0]["dialog"] == {"type": "alert", "message": "Careful"}
    assert (await workshop.fails(click("#hover")))[1]["code"] == "DIALOG_OPEN"
    assert await workshop.said({"kind": "dialog"}) == "Alerted"
    assert await workshop.said(click("#confirm"), {"kind": "dialog", "accept": False}) == "Declined"
    assert await workshop.said(click("#prompt"), {"kind": "dialog", "text": "Zoe"}) == "Name: Zoe"
    # Pages.
    await workshop.act(click("#tab"), {"kind": "wait_for", "seconds": 0.5})
    pages = (await workshop.get("pages")).json()
    assert [(page["id"], page["selected"]) for page in pages] == [("p1", True), ("p2", False)]
    assert await workshop.said({"kind": "page_select", "page": "p2"}, click("#inner")) == "Frame clicked"
    await workshop.act({"kind": "page_close"})
    opened = await workshop.act({"kind": "page_new", "url": f"{workshop.site}/practice"})
    assert opened == [{"page": "p3", "status": 200}]
    await workshop.act({"kind": "page_close", "page": "p3"})
    assert (await workshop.fails({"kind": "page_close"}))[1]["code"] == "ACTION_FAILED"
    assert (await workshop.fails(click("#hover", page="p3")))[1]["code"] == "PAGE_NOT_FOUND"
    # A file, and where the form leads; then through the history.
    sent = await workshop.client.http.post(f"{workshop.path}/files", files={"file": ("a.txt", b"content")})
    assert sent.json()["files"] == ["a.txt"]
    await workshop.act(
        {"kind": "upload", "target": "#file", "files": ["a.txt"]},
        click("#post"),
        {"kind": "wait_for", "text": "file: a.txt (7 bytes)"},
        {"kind": "back"},
        {"kind": "reload"},
    )
    assert (await workshop.fails({"kind": "upload", "target": "#file", "files": ["b"]}))[1]["code"] == (
        "FILE_NOT_FOUND"
    )


async def test_every_resource_shows_the_page_and_every_failure_has_its_answer(workshop: Workshop) -> None:
    """Again in one session."""
    tree = (await workshop.get("snapshot")).text
    inside = re.search(r'button "In the frame" \[ref=(\w+)\]', tree)
    assert inside is not None
    await workshop.act(click(inside[1]))
    assert len((await workshop.get("snapshot?depth=1")).text) < len(tree)
    for type_, start in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("webp", b"RIFF")):
        assert (await workshop.get(f"screenshot?type={type_}")).content.startswith(start)
    window = (await workshop.get("screenshot")).content
    assert len((await workshop.get("screenshot?full_page=true")).content) > len(window)
    assert len((await workshop.get("screenshot?target=%23post")).content) < len(window)
    assert "<h1>Workshop</h1>" in (await workshop.get("html")).text
    assert (await workshop.get("pdf?timeout=60")).content.startswith(b"%PDF")
    assert "sessionid" in {cookie["name"] for cookie in (await workshop.get("cookies")).json()}
    await workshop.act({"kind": "evaluate", "expression": "localStorage.setItem('a', 'b')"})
    storage = (await workshop.get("storage")).json()
    assert storage["origins"][0]["localStorage"] == [{"name": "a", "value": "b"}]
    await workshop.act(click("#log"))
    assert (await workshop.get("console")).json()[-1]["text"] == "logged by the page"
    network = (await workshop.get("network")).json()
    assert {"url", "method", "status"} <= network[0].keys()
    assert f"{workshop.site}/workshop" in {line["url"] for line in network}
    # Files.
    await workshop.act(click("#download"), {"kind": "wait_for", "seconds": 0.5})
    assert [file["name"] for file in (await workshop.get("downloads")).json()] == ["notes.txt"]
    assert (await workshop.get("downloads/notes.txt")).content == b"This is notes.txt.\n"
    # A request in the session's name is the browser's own.
    asked = {"url": f"{workshop.site}/workshop/echo", "method": "POST", "body": "hi"}
    fetched = (await workshop.client.http.post(f"{workshop.path}/fetch", json=asked)).json()
    echoed = json.loads(base64.b64decode(fetched["body_base64"]))
    assert (fetched["status"], echoed["method"], echoed["body"]) == (200, "POST", "hi")
    assert echoed["has_session"] is True
    assert "Firefox" in echoed["user_agent"]
    # A trace.
    await workshop.client.http.post(f"{workshop.path}/trace/start")
    await workshop.act({"kind": "hover", "target": "#hover"})
    trace = await workshop.client.http.post(f"{workshop.path}/trace/stop")
    assert "trace.trace" in zipfile.ZipFile(io.BytesIO(trace.content)).namelist()
    # What fails.
    status, details = await workshop.fails(click(".twin"))
    assert (status, details["code"], details["matches"]) == (422, "AMBIGUOUS_TARGET", 2)
    item = re.search(r'button "Item one" \[ref=(\w+)\]', (await workshop.get("snapshot")).text)
    assert item is not None
    again = {"kind": "wait_for", "seconds": 0.5}
    status, details = await workshop.fails(click(item[1]), again, click(item[1]))  # the list is drawn anew
    assert (status, details["code"], details["index"]) == (409, "STALE_REF", 2)
    assert 'button "Item one"' in details["snapshot"]
    status, details = await workshop.fails(click("#none", timeout=0.5))
    assert (status, details["code"]) == (504, "ACTION_TIMEOUT")
    assert "#none" in details["explanation"]
    status, details = await workshop.fails({"kind": "evaluate", "expression": "nothing.here"})
    assert (status, details["code"]) == (422, "ACTION_FAILED")
    for words in ("navigation failed", "crashed", "NS_ERROR_FAILURE"):  # the page's, not the driver's
        thrower = {"kind": "evaluate", "expression": f"() => {{ throw new Error('{words}') }}"}
        status, details = await workshop.fails(thrower)
        assert (status, details["code"]) == (422, "ACTION_FAILED")
        assert words in details["explanation"]
    [half] = await workshop.act({"kind": "evaluate", "expression": "document.title = '\\ud83e fox'"})
    assert half == "? fox"
    assert (await workshop.get("pages")).json()[0]["title"] == "\ufffd fox"
    status, details = await workshop.fails({"kind": "navigate", "url": "http://127.0.0.1:9/"})
    assert (status, details["code"]) == (502, "NAVIGATION_FAILED")
    status, details = await workshop.fails(
        {"kind": "evaluate", "expression": "'x'.repeat(2e6)"},
    )
    assert (status, details["code"]) == (413, "PAGE_TOO_LARGE")


async def test_page_callers_and_login_do_what_they_do_to_a_session(workshop: Workshop) -> None:
    """Three things that a session goes on after, one after the other: a launch costs more than they do."""
    await _page_can_not_call_the_daemon(workshop)
    await _caller_that_hangs_up_cancels_its_action(workshop)
    await _login_that_is_lost_is_seen(workshop)


async def _page_can_not_call_the_daemon(workshop: Workshop) -> None:
    """Neither by a link nor by a form: the browser says from where it comes."""
    daemon = str(workshop.client.http.base_url).rstrip("/")
    form = """(action) => {
        const form = document.createElement("form");
        Object.assign(form, {method: "post", action});
        document.body.append(form);
        form.submit();
    }"""
    for go, path in (("(url) => { location = url; }", "/leaks"), (form, "/tiktok/session")):
        await workshop.open()
        values = await workshop.act(
            {"kind": "evaluate", "expression": go, "arg": f"{daemon}{path}"},
            {"kind": "wait_for", "url": f"{daemon}{path}"},
            {"kind": "evaluate", "expression": "document.documentElement.textContent"},
        )
        assert "ORIGIN_NOT_ALLOWED" in values[-1]
    assert len((await workshop.client.http.get("/tiktok/session")).json()["sessions"]) == 1


async def _caller_that_hangs_up_cancels_its_action(workshop: Workshop) -> None:
    """The next one has its turn at once, and finds the page as it is."""
    await workshop.open()
    with trio.move_on_after(1):
        await workshop.act({"kind": "evaluate", "expression": "new Promise(() => {})", "timeout": 60})
    with trio.fail_after(patience(10)):
        assert (
            await workshop.said(click("#later"), {"kind": "wait_for", "text": "It is later"}) == "It is later"
        )


async def _login_that_is_lost_is_seen(workshop: Workshop) -> None:
    """So is a login that comes back. The site forgets a viewer who logs out, so this one is of its own."""
    await workshop.act(
        {"kind": "navigate", "url": f"{workshop.site}/login?as=brief"},
        {"kind": "wait_for", "url": f"{workshop.site}/"},
        {"kind": "navigate", "url": f"{workshop.site}/logout"},
    )
    with trio.fail_after(patience(20)):
        while (await workshop.client.session(workshop.path))["login_state"] != "LOGGED_OUT":
            await trio.sleep(0.1)
    await workshop.act({"kind": "navigate", "url": f"{workshop.site}/login?as=again"})
    with trio.fail_after(patience(20)):
        while (await workshop.client.session(workshop.path))["login_state"] != "LOGGED_IN":
            await trio.sleep(0.1)
    verdict = await workshop.client.http.post(f"{workshop.path}/verdict")
    assert (verdict.status_code, verdict.json()["login_state"]) == (200, "LOGGED_IN")


async def test_python_uses_a_session_and_it_ends_with_the_block(settings: DaemonSettings, site: str) -> None:
    """As in the README."""
    async with open_supervisor(settings) as supervisor:
        async with supervisor.session() as session:
            assert await session.navigate(f"{site}/workshop") == 200
            await session.type("#caption", "hello")
            await session.put_file("a.txt", b"content")
            await session.upload("#file", "a.txt")
            await session.click("#post")
            await session.wait_for(text="file: a.txt (7 bytes)")
            assert "caption: hello" in await session.html()
            assert (await session.screenshot()).startswith(b"\x89PNG")
            assert await session.evaluate("x => x + 1", 2) == 3
            with pytest.raises(StaleRef):
                await session.click("e999")
            with pytest.raises(ActionTimedOut):
                await session.within(0.5).wait_for(text="never there")
            handle = session.handle
        assert handle.info().receipt is not None
        assert (await supervisor.list_sessions()) == []
    assert own_processes() == []
    assert clones_in(settings.clones_dir) == []
