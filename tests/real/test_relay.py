"""A client's own Playwright on a live session of a real browser, and clients that attack it."""

import base64
import functools
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
import trio

from greenroom.actors.actions.readings import TraceStart
from greenroom.actors.browser.wire.messages import Proxy
from greenroom.actors.errors import ActionFailed, EngineUnavailable, UpstreamUnreachable
from greenroom.actors.relay.filter import Filter
from greenroom.actors.relay.shared import Shared
from greenroom.supervisor.machine import local_browsers
from greenroom.web.settings import DaemonSettings
from tests.actors.browser.test_host_process import who_shows
from tests.clients.seen import REFUSED, SEEN
from tests.patience import patience
from tests.real.conftest import Client, open_client
from tests.web.http.websockets import Socket, open_socket

pytestmark = pytest.mark.browser

USES = Path(__file__).with_name("relay_client.py")
REFERENCE = Path(__file__).parents[2] / "docs" / "sessions.md"
# Around the reference's example.
AROUND = """
import asyncio
from playwright.async_api import async_playwright

async def main():
    async with async_playwright() as playwright:
{example}
        print(await page.title())

asyncio.run(main())
"""
# Waits for the end of its session, and says how that looked from there.
WAITS = """
import sys
from playwright.sync_api import Error, sync_playwright

with sync_playwright() as playwright:
    browser = playwright.firefox.connect(sys.argv[1])
    gone = []
    browser.on("disconnected", lambda _: gone.append(True))
    page = browser.contexts[0].pages[0]
    print("attached", flush=True)
    try:
        page.wait_for_selector("#never", timeout=0)
    except Error as exc:
        print(exc.message.splitlines()[0], browser.is_connected(), gone)
"""


@attrs.frozen
class Live:
    """A daemon with two live sessions, which share a browser host."""

    client: Client
    path: str
    neighbour: str

    async def state(self, path: str) -> str:
        state: str = (await self.client.session(path))["state"]
        return state


async def address(client: Client, path: str) -> str:
    found: str = (await client.http.get(f"{path}/playwright")).json()["address"]
    return found


@pytest.fixture
async def live(settings: DaemonSettings) -> AsyncIterator[Live]:
    """The whole of it is gone afterwards."""
    async with open_client(settings) as client:
        paths = []
        for _ in range(2):
            created = await client.create()
            assert created.status_code == 200, created.text
            paths.append(created.headers["Location"])
        yield Live(client, *paths)
        for path in paths:
            assert (await client.http.delete(path)).status_code == 204
        assert client.left() == (0, 0)


async def test_playwright_uses_a_session_and_its_end_is_told(live: Live, site: str, tmp_path: Path) -> None:
    """Forms, dialogs, tabs, files both ways, traces; a login that a client loses; the end under a client."""
    command = [sys.executable, str(USES), await address(live.client, live.path), site, str(tmp_path)]
    with trio.fail_after(patience(60)):
        done = await trio.run_process(command, capture_stdout=True)
    seen = json.loads(done.stdout)
    refused = " ".join(seen.pop("refused"))
    assert seen == SEEN
    for told in REFUSED:
        assert told in refused
    # The reference's example, with the session's id.
    [example] = re.findall(r"```python\n(.*?)```", REFERENCE.read_text(), re.DOTALL)
    example = re.sub(r'"ws://[^"]*"', repr(await address(live.client, live.path)), example)
    program = AROUND.format(example=textwrap.indent(example, " " * 8))
    done = await trio.run_process([sys.executable, "-c", program], capture_stdout=True)
    assert done.stdout.decode() == "Posted · Practice\n"
    session = await live.client.session(live.path)
    assert (session["state"], session["clients"], session["refused_calls"]) == ("live", 0, 4)

    async with open_socket(await address(live.client, live.neighbour)) as socket:
        frame = (await shown(socket))["Frame"][0]
        for number, page in enumerate(("login?as=brief", "logout"), start=2):
            await socket.say(number, frame, "goto", url=f"{site}/{page}")
            assert "result" in await socket.reply(number)
        with trio.fail_after(patience(20)):
            while (await live.client.session(live.neighbour))["login_state"] != "LOGGED_OUT":
                await trio.sleep(0.1)

    waiting = [sys.executable, "-c", WAITS, await address(live.client, live.neighbour)]
    async with trio.open_nursery() as nursery:
        run = functools.partial(trio.run_process, waiting, stdout=subprocess.PIPE)
        process: trio.Process = await nursery.start(run)
        assert process.stdout is not None
        with trio.fail_after(patience(30)):
            said = b""
            while not said.endswith(b"\n"):
                said += bytes(await process.stdout.receive_some())
            assert said == b"attached\n"
            assert (await live.client.http.delete(live.neighbour)).status_code == 204
            said = b"".join([bytes(piece) async for piece in process.stdout])
        assert said.decode() == "Page.wait_for_selector: the session has ended: deleted False [True]\n"


async def shown(socket: Socket) -> dict[str, list[str]]:
    """Begin as Playwright does; return the guids of what is shown, by type."""
    await socket.say(1, "", "initialize", sdkLanguage="python")
    found: dict[str, list[str]] = {}
    while "id" not in (message := json.loads(await socket.receive())):
        if message["method"] == "__create__":
            found.setdefault(message["params"]["type"], []).append(message["params"]["guid"])
    return found


async def test_attacks_are_refused_and_read_or_write_nothing(live: Live, tmp_path: Path) -> None:
    """By a client that speaks the protocol itself. Its neighbour on the same driver notices nothing."""
    target = tmp_path / "written"
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret of the machine")
    async with (
        open_socket(await address(live.client, live.neighbour)) as other,
        open_socket(await address(live.client, live.path)) as socket,
    ):
        others = await shown(other)
        own = await shown(socket)
        assert "LocalUtils" not in own
        [browser], [context], [page], frame = (
            own["Browser"],
            own["BrowserContext"],
            own["Page"],
            own["Frame"][0],
        )
        attacks: list[tuple[str, str, dict[str, Any]]] = [
            ("localUtils", "zip", {"zipFile": str(target), "entries": [], "mode": "write"}),
            ("localUtils", "harOpen", {"file": str(secret)}),
            ("localUtils", "connect", {"endpoint": "ws://127.0.0.1:1/"}),
            (
                own["BrowserType"][0],
                "launch",
                {"executablePath": "/bin/sh", "args": ["-c", f"touch {target}"]},
            ),
            (browser, "startServer", {"title": "x", "port": 0, "host": "0.0.0.0"}),
            (browser, "newContext", {"recordHar": {"path": str(target)}}),
            (context, "enableRecorder", {"outputFile": str(target)}),
            (own["APIRequestContext"][0], "fetch", {"url": "http://127.0.0.1:1/", "method": "GET"}),
            (own["Tracing"][0], "harStart", {"options": {"harPath": str(target)}}),
            (own["Tracing"][0], "tracingStart", {"name": f"../../../../..{target}"}),
            (page, "screencastStart", {"record": True}),
            (frame, "setInputFiles", {"selector": "input", "localPaths": [str(secret)]}),
            (frame, "goto", {"url": f"file://{secret}"}),
            (frame, "goto", {"url": str(live.client.http.base_url)}),
            (others["Page"][0], "reload", {}),
            (others["BrowserContext"][0], "cookies", {"urls": []}),
            (others["BrowserContext"][0], "close", {}),
            (page, "close", {}),
            # These would keep the driver busy, or end it.
            (context, "createTempFiles", {"items": [{"name": "."}]}),
            (context, "createTempFiles", {"items": [{"name": "x" * 300}]}),
            (context, "clearCookies", {"nameRegexSource": "^(a+)+$", "nameRegexFlags": ""}),
            (frame, "querySelector", {"selector": "a >> " * 4000 + "a"}),
            (page, "expectScreenshot", {"isNot": False}),
        ]
        for number, (guid, method, params) in enumerate(attacks, start=2):
            await socket.say(number, guid, method, **params)
            reply = await socket.reply(number)
            assert "error" in reply, (guid, method)
            assert b"a secret" not in msgspec.json.encode(reply)
        # A download can't be saved on the machine, and its path is not told.
        expression = "location.href = '/workshop/download'"
        arg = {"value": {"v": "undefined"}, "handles": []}
        await socket.say(100, frame, "evaluateExpression", expression=expression, arg=arg)
        while (message := json.loads(await socket.receive())).get("method") != "download":
            pass
        artifact = message["params"]["artifact"]["guid"]
        for number, method in ((101, "saveAs"), (102, "pathAfterFinished")):
            await socket.say(number, artifact, method, path=str(target))
            assert "error" in await socket.reply(number)
        # Files that are sent stay below the session's own folder.
        await socket.say(103, context, "createTempFiles", items=[{"name": f"../../../../../..{target}"}])
        assert "error" in await socket.reply(103)
        # A file that can't be opened, since it is a folder already: the error comes when nobody waits for it.
        for number in range(110, 115):
            await socket.say(number, context, "createTempFiles", items=[{"name": "a/b"}, {"name": "a"}])
            await socket.reply(number)
        # A title of a megabyte, and a pattern that takes for ever, are left out.
        pattern = {"glob": "**a" * 12 + "x"}
        await socket.say(120, page, "setNetworkInterceptionPatterns", patterns=[pattern])
        assert "error" not in await socket.reply(120)
        await socket.say(121, page, "setNetworkInterceptionPatterns", patterns=[])
        assert "error" not in await socket.reply(121)
        call = {
            "id": 122,
            "guid": frame,
            "method": "title",
            "params": {},
            "metadata": {"title": "{" * 1000000},
        }
        await socket.send(json.dumps(call))
        assert "result" in await socket.reply(122)
        # Garbage to the driver itself: without metadata it would end, with both sessions.
        await socket.send(json.dumps({"id": 104, "guid": page, "method": "reload", "params": {"x": 1}}))
        assert "result" in await socket.reply(104)
        await socket.send(json.dumps({"id": "c@105", "guid": frame, "method": "title", "params": {}}))
        assert "result" in await socket.reply("c@105")
        # The neighbour.
        await other.say(2, others["Frame"][0], "title")
        assert "result" in await other.reply(2)
    assert not target.exists()
    assert (await live.state(live.path), await live.state(live.neighbour)) == ("live", "live")
    assert (await live.client.session(live.path))["refused_calls"] >= len(attacks)


async def test_proxy_password_and_launch_are_not_told(settings: DaemonSettings, tmp_path: Path) -> None:
    """Neither to a client nor in a file that stays: Playwright tells the one, and writes the other.

    No process shows it, either, as an argument or in its environment.
    """
    proxy = Proxy(server="http://127.0.0.1:9", username="maker", password="correct-horse-battery")
    hosts = attrs.evolve(await trio.to_thread.run_sync(local_browsers, settings), proxy=proxy)
    heard = b""
    async with hosts.open_host("host-1") as host, host.open_browser("a") as browser:
        await browser.launch(tmp_path / "profile", headless=True)
        async with browser.connect() as driver:
            filter_ = Filter(
                browser=driver.browser,
                may_open=lambda _: True,
                may_trace=driver.may_trace,
                why_held=lambda: "",
                waits=False,
                shared=Shared(),
                on_refused=lambda *_: None,
            )
            call = {"id": 1, "guid": "", "method": "initialize", "params": {"sdkLanguage": "python"}}
            await driver.send(filter_.from_client(json.dumps(call).encode())[1])
            while b'{"id":1' not in heard:
                heard += filter_.from_driver(await driver.receive())
            assert not driver.may_trace
        assert b"BrowserContext" in heard
        for secret in (proxy.password, base64.b64encode(f"maker:{proxy.password}".encode()).decode()):
            assert secret.encode() not in heard
        assert list(host.cell.scratch.glob("**/ms-playwright/b/*")) == []
        with pytest.raises(UpstreamUnreachable, match="NS_ERROR_PROXY"):
            await browser.navigate("http://example.org/")
        assert who_shows(proxy.password) == []
        with pytest.raises(ActionFailed) as failed:
            await browser.perform(TraceStart(), timeout_s=5)
        assert "password" in failed.value.told


def test_proxy_login_is_not_given_to_firefox(settings: DaemonSettings) -> None:
    """It would give it to sites; the error says what to do."""
    with pytest.raises(EngineUnavailable, match="would give the proxy's password to sites"):
        local_browsers(attrs.evolve(settings, proxy="http://me:hunter2@127.0.0.1:9"))
    assert local_browsers(attrs.evolve(settings, proxy="http://127.0.0.1:9")).proxy is not None
