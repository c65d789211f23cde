"""The endpoint's outcomes on a real browser, over real HTTP."""

import contextlib
import itertools
import socket
import stat
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import trio

from greenroom.actors.browser.cells.marks import own_processes
from greenroom.actors.owner import HOST_PREFIX
from greenroom.actors.profile.generations import directory_of
from greenroom.actors.session.actor import CLOSE_GRACE_S
from greenroom.supervisor.machine import local_browsers
from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.programs import programs
from tests.real.conftest import POLL_S, Client, fingerprint, open_client

pytestmark = pytest.mark.browser

SANDBOXES = ["bubblewrap", "none"]


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_logged_in_profile_gives_a_session_that_deletion_ends(
    settings: DaemonSettings, master: Path, sandbox: str
) -> None:
    """One request from start to end. Nothing is left: no process, no clone, and the master is untouched."""
    before = fingerprint(master)
    async with open_client(settings, sandbox=sandbox) as client:
        answer = await client.create()
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "success",
            "message": "TikTok session established successfully",
        }
        session_id = answer.headers["X-Session-Id"]
        assert uuid.UUID(session_id).version == 4
        location = answer.headers["Location"]
        assert location == f"/tiktok/session/{session_id}"

        (clone,) = settings.clones_dir.glob(f"*/{session_id}")
        assert stat.S_IMODE(clone.stat().st_mode) == 0o700
        session = await client.session(location)
        assert (session["state"], session["login_state"]) == ("live", "LOGGED_IN")
        assert list(session["phase_ms"]) == ["cloning", "launching", "navigating", "judging", "live"]

        assert (await client.http.delete(location)).status_code == 204
        assert client.left() == (0, 0)
        session = await client.session(location)
        assert (session["state"], session["end_reason"]) == ("ended", "deleted")
        assert session["phase_ms"]["ending"] < 1000 * CLOSE_GRACE_S, "it was closed, not left to its grace"
    assert fingerprint(master) == before


async def test_logged_out_profile_is_refused_and_cleaned_up(
    settings: DaemonSettings, logged_out_master: Path
) -> None:
    """The page shows a login button: 409, and everything is gone by the time of the answer."""
    async with open_client(settings, user_data_master_dir=logged_out_master) as client:
        answer = await client.create()
        assert client.left() == (0, 0)
    assert answer.status_code == 409
    body = answer.json()
    assert body["message"] == "Not logged in to TikTok"
    details = body["error_details"]
    assert details.pop("hint") == "The profile's login has expired: run greenroom login"
    assert details.pop("elapsed_ms") < 1000 * settings.login_detection_timeout
    assert (
        details.items()
        >= {
            "code": "NOT_LOGGED_IN",
            "details": "User is not logged in to TikTok",
            "method": "html_content_analysis",
            "timeout": settings.login_detection_timeout,
            "state": "LOGGED_OUT",
            "reason": "login_flag",
        }.items()
    )


@pytest.mark.parametrize("kind", ["missing", "empty"])
async def test_profile_without_content_is_refused_without_a_browser(
    settings: DaemonSettings, tmp_path: Path, kind: str
) -> None:
    """An empty profile can't be logged in: 409 at once, with a hint how to log in."""
    nobody = tmp_path / "nobody"
    if kind == "empty":
        nobody.mkdir()
    async with open_client(settings, user_data_master_dir=nobody) as client:
        started = time.monotonic()
        answer = await client.create()
        assert time.monotonic() - started < patience(1)
    assert answer.status_code == 409
    assert "greenroom login" in answer.json()["error_details"]["hint"]


async def test_profile_open_in_a_browser_is_locked(settings: DaemonSettings, master: Path) -> None:
    """While a real Firefox has the master open, 423 within milliseconds. Once it is closed, sessions work."""
    async with open_client(settings) as client:
        async with local_browsers(settings).open_browser("owner") as browser:
            await browser.launch(master, headless=True)
            started = time.monotonic()
            answer = await client.create()
            took_s = time.monotonic() - started
            await browser.close()
        assert answer.status_code == 423
        assert (
            answer.json()["error_details"].items()
            >= {
                "code": "USER_DATA_LOCKED",
                "details": "User data directory is locked by another process",
            }.items()
        )
        assert answer.json()["error_details"]["holder"]["program"].startswith("firefox")
        assert took_s < patience(0.5)
        assert (master / "lock").is_symlink(), "Firefox leaves its symlink behind: it is no lock"
        assert (await client.create()).status_code == 200


async def test_session_that_writes_keeps_what_it_did_in_the_profile(
    settings: DaemonSettings, master: Path, site: str
) -> None:
    """The next one finds it. Until the end, others get 423 with who writes, and the master is as it was."""
    before = fingerprint(master)
    async with open_client(settings) as client:
        created = await client.http.post("/tiktok/session", json={}, headers={"X-Profile-Mode": "write"})
        assert created.status_code == 200, created.text
        writer = created.headers["Location"]
        refused = await client.create()
        assert refused.status_code == 423
        holder = refused.json()["error_details"]["holder"]["program"]
        assert holder == f"session {writer.rpartition('/')[2]}"
        assert fingerprint(master) == before
        keep = {"kind": "evaluate", "expression": "document.cookie = 'kept=1; max-age=1000; path=/'"}
        (await client.http.post(f"{writer}/actions", json=keep)).raise_for_status()
        await client.http.delete(writer)
        receipt = (await client.session(writer))["receipt"]
        assert receipt["commit"] == {"generation": 3, "problem": None}  # the login was the second
        reader = (await client.create()).headers["Location"]
        cookies = (await client.http.get(f"{reader}/cookies")).json()
        assert "kept" in {cookie["name"] for cookie in cookies}
    assert (directory_of(master, 2) / "cookies.sqlite").exists()


async def test_hanging_page_times_out(settings: DaemonSettings, site: str) -> None:
    """A site that never answers takes the creation timeout and at most a second more."""
    async with open_client(
        settings, tiktok_url=f"{site}/hang", session_creation_timeout=5, login_detection_timeout=4
    ) as client:
        started = time.monotonic()
        answer = await client.create()
        assert 5 <= time.monotonic() - started < 5 + patience(1)
        # The answer does not wait for a slow disk.
        session_id = answer.json()["error_details"]["session_id"]
        await client.ended(f"/tiktok/session/{session_id}", within_s=10)
        assert client.left() == (0, 0)
    assert answer.status_code == 504
    assert (
        answer.json()["error_details"].items()
        >= {
            "code": "SESSION_TIMEOUT",
            "details": "Session creation timed out after 5 seconds",
        }.items()
    )


@contextlib.asynccontextmanager
async def open_fickle_site() -> AsyncIterator[str]:
    """Serve a page that says nothing about its viewer. The first load succeeds; later ones never end."""
    page = b"<!doctype html><title>Fickle</title><p>Hello</p>"
    loads = itertools.count()

    async def serve(stream: trio.SocketStream) -> None:
        request = await stream.receive_some()
        if request.startswith(b"GET / ") and next(loads) > 0:
            await trio.sleep_forever()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n"
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(head.encode() + b"Connection: close\r\n\r\n" + page)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{port}/"
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_page_whose_reloads_hang_is_uncertain(settings: DaemonSettings) -> None:
    """A reload that was given up uses up its own try, not the next one."""
    async with (
        open_fickle_site() as fickle,
        open_client(
            settings, tiktok_url=fickle, login_detection_timeout=patience(3), login_detection_retries=3
        ) as client,
    ):
        answer = await client.create()
    assert answer.status_code == 409
    assert answer.json()["error_details"]["state"] == "UNCERTAIN"


async def test_killed_browser_ends_its_session_alone(settings: DaemonSettings) -> None:
    """A dead browser is noticed within 2 s and cleaned up. The session beside it lives on.

    This is without a sandbox; with one, `test_chaos` shows it.
    """
    async with open_client(settings, sandbox="none") as client:
        doomed = (await client.create()).headers["Location"]
        firefox = _firefox_of(doomed)
        neighbour = (await client.create()).headers["Location"]
        firefox.kill()
        assert (await client.ended(doomed, within_s=2))["end_reason"] == "browser_lost"
        assert (await client.session(neighbour))["state"] == "live"
        assert list(settings.clones_dir.glob(f"*/{doomed.rpartition('/')[2]}*")) == []


async def test_session_expires(settings: DaemonSettings) -> None:
    """A session ends by itself after its duration. Nothing is left."""
    async with open_client(settings, max_session_duration=1.5) as client:
        location = (await client.create()).headers["Location"]
        session = await client.ended(location, within_s=1.5 + 5 + 1)
        assert session["end_reason"] == "expired"
        assert 1500 <= session["phase_ms"]["live"] < 1500 + patience(1000)
        assert client.left() == (0, 0)


async def test_creations_at_once_all_succeed(settings: DaemonSettings) -> None:
    """Four clients at once get four sessions, in hosts of up to two. A fifth is refused."""
    answers: list[httpx.Response] = []

    async def create(client: Client) -> None:
        answers.append(await client.create())

    # A busy machine may need more than 30 s. What matters is that the creations don't disturb each other.
    async with open_client(
        settings, session_creation_timeout=patience(110), max_sessions=4, sessions_per_host=2
    ) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(create, client)
        assert [answer.status_code for answer in answers] == [200] * 4
        assert len({answer.headers["X-Session-Id"] for answer in answers}) == 4
        assert client.left()[1] == 4
        owned = (await client.http.get("/leaks")).json()["owned"]["processes"]
        hosts = {process["session"] for process in owned if process["session"].startswith(HOST_PREFIX)}
        assert len(hosts) == 2
        fifth = await client.create()
        assert fifth.status_code == 503
        assert fifth.json()["error_details"]["code"] == "CAPACITY_EXHAUSTED"
        assert 0 < int(fifth.headers["Retry-After"]) <= 300


async def test_caller_that_hangs_up_cancels_the_creation(settings: DaemonSettings) -> None:
    """A client that closes its connection while the browser launches leaves nothing running."""
    async with open_client(settings) as client:
        url = urlsplit(str(client.http.base_url))
        connection = socket.create_connection((url.hostname, url.port))
        connection.sendall(b"POST /tiktok/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        with trio.fail_after(patience(20)):
            while client.left()[0] == 0:
                await trio.sleep(POLL_S)
        (session,) = (await client.http.get("/tiktok/session")).json()["sessions"]
        connection.close()
        session = await client.ended(f"/tiktok/session/{session['id']}", within_s=2)
        assert session["end_reason"] == "caller_left"
        assert client.left() == (0, 0)


def _firefox_of(location: str) -> psutil.Process:
    """Return the main process of a session's browser: the one that has the clone as an argument."""
    session_id = location.rpartition("/")[2]
    (firefox,) = (
        program.process
        for program in programs(own_processes())
        if "--profile" in program.words and program.has(session_id)
    )
    return firefox
