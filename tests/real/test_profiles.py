"""Logins get into profiles, on a real browser: by the live view, by a window, by exported files."""

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import httpx
import psutil
import pytest
from playwright.sync_api import Page, expect

from greenroom.actors.browser.cells.marks import scan
from greenroom.actors.errors import NotLoggedIn
from greenroom.actors.events import EventKind, SessionEvent
from greenroom.actors.lifecycle import Purpose
from greenroom.actors.profile.cookies import digest_login, read_cookies
from greenroom.actors.profile.generations import history
from greenroom.actors.profile.local_storage import read_local_storage
from greenroom.supervisor.api import open_supervisor
from greenroom.web.settings import DaemonSettings
from tests.chaos.victims import Victim, find, host_of
from tests.patience import patience
from tests.real.conftest import COMMAND_S, GREENROOM, Serve, fingerprint

pytestmark = pytest.mark.browser

PIXELS = """canvas => new Set(new Uint32Array(
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""


@contextlib.contextmanager
def command(*args: str, **env: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a command beside the block; its output can be read from it."""
    process = subprocess.Popen([*GREENROOM, *args], stdout=subprocess.PIPE, text=True, env=os.environ | env)
    with process:
        try:
            yield process
        finally:
            process.kill()


def run(*args: str, **env: str) -> str:
    """Run a command to its end, which must be good; return what it printed."""
    done = subprocess.run(
        [*GREENROOM, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S,
        env=os.environ | env,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def without_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no window can be shown."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def own_settings(site: str, folder: Path) -> dict[str, str]:
    """Return the environment of commands that work with a new profile."""
    return {
        "GREENROOM_ENGINE": "firefox",
        "GREENROOM_TIKTOK_URL": f"{site}/",
        "GREENROOM_USER_DATA_MASTER_DIR": str(folder / "user_data"),
        "GREENROOM_CLONES_DIR": str(folder / "clones"),
        "GREENROOM_BIND": "127.0.0.1:9",  # where no daemon runs
    }


def log_in_by_hand(process: "subprocess.Popen[str]", page: Page, site: str) -> str:
    """Do what the command asks for: open its address, take over, log in. Return what it printed."""
    assert process.stdout is not None
    said = ""
    while "http" not in (line := process.stdout.readline()):
        assert line, said
        said += line
    page.goto(line.strip())
    deadline = time.monotonic() + patience(20)
    while int(page.locator("#screen").evaluate(PIXELS)) < 10:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    expect(page.locator("#task")).to_contain_text("ends by itself as soon as the page shows a login")
    page.get_by_role("button", name="Take over").click()
    expect(page.locator("#holder")).to_contain_text("You have control")
    page.locator("#address").fill(f"{site}/login")
    page.get_by_role("button", name="Go").click()
    expect(page.locator("#tabs li")).to_contain_text("Log in")
    page.locator("#screen").press_sequentially("ada")
    page.locator("#screen").press("Tab")
    page.locator("#screen").press_sequentially("secret")
    page.locator("#screen").press("Enter")
    rest = process.stdout.read()
    assert process.wait(COMMAND_S) == 0, said + rest
    return said + line + rest


@pytest.mark.usefixtures("without_display")
def test_login_by_the_live_view_where_there_is_no_display(site: str, tmp_path: Path, page: Page) -> None:
    """With nothing but a browser elsewhere. Then sessions are logged in."""
    env = own_settings(site, tmp_path)
    with command("login", "shop", **env) as process:
        said = log_in_by_hand(process, page, site)
    assert "run `ssh -L " in said
    assert "Logged in. Saving the profile ..." in said
    assert "Saved: sessionid, until " in said
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("user_data")] == [
        "user_data.profiles"
    ]
    shop = tmp_path / "user_data.profiles" / "shop"
    assert stat.S_IMODE(shop.stat().st_mode) == 0o700
    target = tmp_path / "state.json"
    assert "Wrote 1 cookie " in run("export", str(target), "--profile", "shop", **env)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    [cookie] = json.loads(target.read_text())["cookies"]
    assert cookie["name"] == "sessionid"


def test_login_through_the_running_daemon(
    serve: Serve, site: str, tmp_path: Path, page: Page, logged_out_master: Path
) -> None:
    """It has the profile alone meanwhile. The next session is logged in."""
    env = own_settings(site, tmp_path)
    with (
        serve(GREENROOM_USER_DATA_MASTER_DIR=str(logged_out_master)) as daemon,
        httpx.Client(base_url=daemon.url, timeout=patience(60)) as http,
    ):
        with command("login", "--daemon", daemon.url, **env) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Opening the daemon's browser")
            process.stdout.readline()
            refused = http.post("/tiktok/session", json={})
            assert (refused.status_code, refused.json()["error_details"]["code"]) == (423, "USER_DATA_LOCKED")
            assert int(refused.headers["Retry-After"]) <= 640
            said = log_in_by_hand(process, page, site)
        assert "Saved: sessionid" in said
        [profile] = http.get("/profiles").json()["profiles"]
        assert (profile["name"], profile["generation"], profile["login"]) == ("default", 3, ["sessionid"])
        assert http.post("/tiktok/session", json={}).status_code == 200


@pytest.fixture
def display() -> Iterator[str]:
    """The name of a display that nobody sees."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-nolisten", "tcp"], pass_fds=[writing]
    ) as server:
        os.close(writing)
        with os.fdopen(reading) as number:
            yield f":{number.readline().strip()}"
        server.terminate()


def test_login_in_a_window(site: str, tmp_path: Path, display: str) -> None:
    """On a display. The site logs in by itself here, as a person would in the window."""
    env = own_settings(site, tmp_path) | {"GREENROOM_TIKTOK_URL": f"{site}/login?as=ada", "DISPLAY": display}
    said = run("login", **env)
    assert "close the window to give up" in said
    assert "Saved: sessionid, until " in said
    assert [one.number for one in history(tmp_path / "user_data")] == [1]


def test_browser_that_is_killed_in_its_window_saves_nothing(serve: Serve, master: Path, display: str) -> None:
    """Only one that quits by itself has saved its profile."""
    before = fingerprint(master)
    with serve(DISPLAY=display) as daemon, httpx.Client(base_url=daemon.url, timeout=patience(60)) as http:
        path = http.post("/browse").headers["Location"]
        assert http.get(path).json()["session"]["login_state"] == "LOGGED_IN"
        firefox = [
            process
            for process in psutil.Process(daemon.process.pid).children(recursive=True)
            if "firefox" in process.name()
        ]
        assert firefox
        for process in firefox:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        deadline = time.monotonic() + patience(20)
        while not (session := http.get(path).json()["session"])["receipt"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert (session["end_reason"], session["receipt"]["commit"]["generation"]) == ("browser_lost", None)
    assert fingerprint(master) == before


def exports(master: Path) -> dict[str, bytes]:
    """Return a profile's cookies in every format that can be imported."""
    cookies = read_cookies(master)
    lines = [
        "\t".join(
            (
                f"{'#HttpOnly_' if one.http_only else ''}{one.domain}",
                "FALSE",
                one.path,
                str(one.secure).upper(),
                str(int(one.expires)),
                one.name,
                one.value,
            )
        )
        for one in cookies
    ]
    entries: list[dict[str, Any]] = [
        {
            "name": one.name,
            "value": one.value,
            "domain": one.domain,
            "path": one.path,
            "expirationDate": one.expires,
            "httpOnly": one.http_only,
            "secure": one.secure,
            "sameSite": "unspecified",
            "hostOnly": True,
        }
        for one in cookies
    ]
    return {
        "cookies.txt": "\n".join(["# Netscape HTTP Cookie File", *lines, ""]).encode(),
        "extension.json": json.dumps(entries).encode(),
        "state.json": json.dumps(
            {
                "cookies": [
                    {name: value for name, value in one.items() if name not in {"hostOnly", "sameSite"}}
                    for one in entries
                ],
                "origins": [],
            }
        ).encode(),
    }


def stored_as(profile: Path) -> set[tuple[int, int]]:
    """Return the types of conversion and compression that Firefox has used in local storage."""
    [path] = profile.glob("storage/default/http+++127.0.0.1+*/ls/data.sqlite")
    with contextlib.closing(sqlite3.connect(path)) as database:
        return set(database.execute("SELECT conversion_type, compression_type FROM data"))


# What Firefox stores plainly, in UTF-8, compressed, or as nothing.
KEPT = {
    "ascii": "by the site",
    "текст": "é ☃ \U0001f600",
    "long": '{"a": "b", "more": "more"}' * 1000 + "ü",
    "empty": "",
}


def test_login_is_imported_in_every_format(serve: Serve, site: str, master: Path, tmp_path: Path) -> None:
    """Each into a profile of its own, by the command or over HTTP. Sessions of each are logged in.

    What the site keeps goes from a storage state into a profile that Firefox writes, and from there, as from
    any Firefox profile, into another.
    """
    files = exports(master)
    with serve() as daemon, httpx.Client(base_url=daemon.url, timeout=patience(60)) as http:
        env = own_settings(site, tmp_path)
        for name in ("cookies.txt", "state.json"):
            (tmp_path / name).write_bytes(files[name])
        said = run("import", str(tmp_path / "cookies.txt"), "--profile", "a", "--daemon", daemon.url, **env)
        assert "Logged in. Saved as generation 1 of the profile a." in said
        answer = http.post("/profiles/c/import", content=files["extension.json"])
        assert (answer.status_code, answer.json()["cookies"]) == (200, ["sessionid"])
        state = json.loads(files["state.json"])
        kept = [{"name": name, "value": value} for name, value in KEPT.items()]
        state["origins"] = [{"origin": site, "localStorage": kept}]
        answer = http.post("/profiles/d/import", content=json.dumps(state))
        assert answer.status_code == 200
        folder = Path(
            shutil.copytree(master.with_name("master.profiles") / "d", tmp_path / "a firefox profile")
        )
        [origin] = read_local_storage(folder, site).origins
        assert {item.name: item.value for item in origin.local_storage} == KEPT
        assert stored_as(folder) == {(1, 0), (1, 1)}
        said = run("import", str(folder), "--profile", "b", "--daemon", daemon.url, **env)
        assert f"with 1 cookie and local storage of {len(KEPT)} entries" in said
        listed = http.get("/profiles").json()["profiles"]
        assert [(one["name"], one["login"]) for one in listed] == [
            (name, ["sessionid"]) for name in ("default", "a", "b", "c", "d")
        ]
        path = http.post("/tiktok/session", json={}, headers={"X-Profile": "b"}).headers["Location"]
        [origins] = [one for one in http.get(f"{path}/storage").json()["origins"] if one["origin"] == site]
        assert {item["name"]: item["value"] for item in origins["localStorage"]} == KEPT
        refused = http.post("/profiles/c/import", content=files["cookies.txt"] + b"x\n")
        assert refused.status_code == 422
        assert "Line 3 has 1 fields" in refused.json()["error_details"]["details"]


async def test_refresh_keeps_a_login_that_the_site_renews(settings: DaemonSettings, site: str) -> None:
    """The site ends a login after 12 hours, by a clock of its own, and renews it before that.

    A session that only reads says that what it got is lost.
    """
    events: list[SessionEvent] = []
    config = attrs.evolve(settings, tiktok_url=f"{site}/rotating")

    async def pass_hours(hours: float) -> None:
        async with httpx.AsyncClient(timeout=patience(10)) as http:
            moved = await http.post(f"{site}/rotating/clock", params={"seconds": hours * 3600})
            assert moved.status_code == 204

    before = digest_login(settings.user_data_master_dir, "127.0.0.1")
    async with open_supervisor(config, subscriber=events.append) as supervisor:
        await pass_hours(8)
        number = await supervisor.refresh()
        after = digest_login(settings.user_data_master_dir, "127.0.0.1")
        assert (after.keys(), after != before) == (before.keys(), True)
        [now, *_] = history(settings.user_data_master_dir)
        assert now.number == number
        await pass_hours(8)  # what was saved at first has ended
        async with supervisor.session() as session:
            assert session.handle.info().purpose is Purpose.SESSION
        told = [event.session.id for event in events if event.kind is EventKind.PROFILE_ROTATED]
        assert told == [session.handle.id]
        assert digest_login(settings.user_data_master_dir, "127.0.0.1") == after
        await pass_hours(8)
        with pytest.raises(NotLoggedIn):
            await supervisor.create_session()


def host_process(session_id: str) -> psutil.Process:
    """Return the process that runs a live session's browser."""
    [marker] = [mark for mark in scan() if mark.endswith(f".{session_id}")]
    host = host_of(marker)
    assert host is not None
    process = find(Victim.HOST, host)
    assert process is not None
    return psutil.Process(process.pid)


def test_daemon_that_is_killed_while_it_commits_leaves_the_profile_whole(serve: Serve, master: Path) -> None:
    """The old generation, to the last byte, and no lease. The next daemon's sessions read it and write it.

    There, the browser's host is killed in the middle of a commit, which goes on without it.
    """
    with (master / "ballast.bin").open("wb") as ballast:  # a commit takes a while
        for _ in range(400):
            ballast.write(os.urandom(1 << 20))
    before, [at_first, *_] = fingerprint(master), history(master)
    headers = {"X-Profile-Mode": "write"}
    with serve() as daemon, httpx.Client(base_url=daemon.url, timeout=patience(60)) as http:
        path = http.post("/tiktok/session", json={}, headers=headers).headers["Location"]
        assert http.post("/tiktok/session", json={}).status_code == 423
        with ThreadPoolExecutor() as threads:
            deletion = threads.submit(http.delete, path)
            new = master.with_name("master.generations") / f"{at_first.number + 1}.new" / "ballast.bin"
            deadline = time.monotonic() + patience(60)
            while not new.exists() or not new.stat().st_size:
                assert time.monotonic() < deadline
            daemon.process.kill()
            with pytest.raises(httpx.HTTPError):
                deletion.result()
        assert fingerprint(master) == before
        assert new.parent.exists()
    with serve() as daemon, httpx.Client(base_url=daemon.url, timeout=patience(60)) as http:
        path = http.post("/tiktok/session", json={}, headers=headers).headers["Location"]
        assert not new.exists()
        host = host_process(path.rpartition("/")[2])
        with ThreadPoolExecutor() as threads:
            deletion = threads.submit(http.delete, path)
            while not new.exists() or not new.stat().st_size:
                assert time.monotonic() < deadline
            host.kill()
            assert history(master)[0].number == at_first.number
            assert deletion.result().status_code == 204
        assert not host.is_running()
        commit = http.get(path).json()["session"]["receipt"]["commit"]
    assert commit == {"generation": at_first.number + 1, "problem": None}
    assert [one.number for one in history(master)] == [at_first.number + 1, at_first.number]
    assert {entry.name for entry in new.parent.parent.iterdir()} == {str(at_first.number)}
