"""`greenroom login`, with a real browser at the practice site."""

import math
import os
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import psutil
import pytest
import trio

from greenroom.actors.browser.cells.marks import own_processes
from greenroom.actors.errors import (
    EngineUnavailable,
    ProfileLocked,
    ProfileNotReplaced,
    ProfileUnusable,
    UpstreamUnreachable,
)
from greenroom.actors.profile import generations
from greenroom.actors.profile.cookies import read_login
from greenroom.actors.profile.generations import directory_of, history, history_folder
from greenroom.supervisor.api import LOGIN_S
from greenroom.supervisor.machine import local_browsers
from greenroom.web.commands.desk import open_desk
from greenroom.web.commands.login import Way, _say_where, log_in
from greenroom.web.groups import sole_error_bare
from greenroom.web.practice import app as practice_app
from greenroom.web.practice import open_practice_site
from greenroom.web.settings import DaemonSettings
from tests.actors.profile.profile_trees import locked_by_other_process, make_profile, snapshot
from tests.patience import patience
from tests.programs import programs
from tests.real.conftest import make_quiet_profile
from tests.web.http.front import make_settings

# Written by Playwright and Firefox, so not the user's.
AUTOMATION = {
    "user.js",
    "prefs.js",
    "prefs.js.playwright",
    "WebDriverBiDiServer.json",
    "MarionetteActivePort",
}
HOST = "127.0.0.1"
# A launch on a new profile takes 6 s alone, and 9 s beside three others on two cores.
LAUNCH_S = patience(60)
NOWHERE = "http://127.0.0.1:9/"  # never requested in the tests that use it


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """The URL of a practice site."""
    async with open_practice_site() as url:
        yield url


def settings_for(tmp_path: Path, url: str) -> DaemonSettings:
    """Return settings with a master profile in `tmp_path` and the page at `url` for the login."""
    return make_settings(
        engine="firefox",
        user_data_master_dir=tmp_path / "master",
        clones_dir=tmp_path / "clones",
        tiktok_url=url,
        session_creation_timeout=patience(30),
    )


async def log_in_at(
    settings: DaemonSettings, say: Callable[[str], None], *, timeout_s: float = LOGIN_S
) -> bool:
    """Log in at a site that does it by itself, in a daemon of the test's own."""
    with sole_error_bare(layers=math.inf):
        async with open_desk(settings, own=True) as desk:
            return await log_in(desk, say, way=Way.NONE, timeout_s=timeout_s)


@pytest.mark.browser
async def test_login_at_the_site_is_seen_and_stays_in_the_profile(tmp_path: Path, site: str) -> None:
    """The command waits for the login. The next browser on the profile is logged in from the start."""
    said: list[str] = []
    at_form = settings_for(tmp_path, f"{site}/login?as=maker")
    assert await log_in_at(at_form, said.append)
    *opening, saved = said
    assert opening == [
        "Opening firefox on a copy of the master profile ...",
        "Waiting until the page shows a login.",
        "Logged in. Saving the profile ...",
    ]
    in_30_days = datetime.now(UTC) + timedelta(days=30)
    assert saved.startswith(f"Saved: sessionid, until {in_30_days:%Y-%m-%d} ")
    master = tmp_path / "master"
    assert read_login(master, HOST).names == ("sessionid",)
    assert master.stat().st_mode & 0o777 == 0o700
    assert AUTOMATION.isdisjoint(names_in(master))
    assert own_processes() == []

    with trio.fail_after(LAUNCH_S):
        assert await log_in_at(settings_for(tmp_path, f"{site}/"), said.append)


@pytest.mark.browser
async def test_users_own_settings_are_as_before(tmp_path: Path, site: str) -> None:
    """An existing profile keeps its settings byte for byte. The login's browser uses the user's proxy."""
    settings = settings_for(tmp_path, f"{site}/login?as=maker")
    master = settings.user_data_master_dir
    make_quiet_profile(master)
    own = {
        "user.js": b'user_pref("own.setting", "kept");\n',
        "prefs.js": b'user_pref("own.pref", 1);\n' + (master / "prefs.js").read_bytes(),
    }
    for name, content in own.items():
        (master / name).write_bytes(content)
    (master / "user.js").chmod(0o440)
    before = {name: content for name, content in snapshot(master).items() if name in own}
    owner = 65_534 if os.geteuid() == 0 else os.geteuid()
    for path in (master, *master.iterdir()):
        os.chown(path, owner, -1)
    assert await log_in_at(settings, _ignore)
    after = snapshot(master)
    assert {name: after[name] for name in own} == before
    assert (AUTOMATION - own.keys()).isdisjoint(after)
    assert read_login(master, HOST).names == ("sessionid",)
    assert owners_of(master) == owners_of(history_folder(master)) == {owner}
    assert [one.number for one in history(master)] == [2, 1]
    browsers = await trio.to_thread.run_sync(local_browsers, settings)
    assert browsers.private.around(directory_of(master, 1)) is not None


def owners_of(folder: Path) -> set[int]:
    """Return the users to whom a directory and what is in it belong."""
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


@pytest.mark.browser
async def test_login_that_ends_with_the_browser_is_reported_and_leaves_nothing(
    tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session cookie is in no file, so the login is lost, and the profile made for it is removed."""
    monkeypatch.setattr(practice_app, "COOKIE_MAX_AGE_S", None)
    said: list[str] = []
    settings = settings_for(tmp_path / "made" / "too", f"{site}/login?as=maker")
    assert not await log_in_at(settings, said.append)
    assert said[-1].startswith("Nothing was saved. The login ended with the browser: ")
    assert names_in(tmp_path / "made" / "too") == {"clones"}


@pytest.mark.browser
async def test_login_that_does_not_come_times_out(tmp_path: Path, site: str) -> None:
    """The wait ends after the timeout. A directory that was empty before stays empty."""
    said: list[str] = []
    settings = settings_for(tmp_path, f"{site}/")
    settings.user_data_master_dir.mkdir()
    with trio.fail_after(LAUNCH_S):
        assert not await log_in_at(settings, said.append, timeout_s=4)
    assert said[-1] == "No login was seen within 4 s."
    assert names_in(settings.user_data_master_dir) == set()
    assert own_processes() == []


@pytest.mark.browser
async def test_browser_closed_before_a_login_returns_false(tmp_path: Path, site: str) -> None:
    """If the browser is lost, you are told so. Nothing is left running."""
    said: list[str] = []
    settings = settings_for(tmp_path, f"{site}/")
    make_quiet_profile(settings.user_data_master_dir)
    waiting = trio.Event()

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("Waiting"):
            waiting.set()

    async def close_window() -> None:
        await waiting.wait()
        _firefox().kill()

    with trio.fail_after(LAUNCH_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(close_window)
            assert not await log_in_at(settings, say)
    assert said[-1] == "Nothing was saved: the session has ended as browser_lost."
    assert own_processes() == []


@pytest.mark.browser
async def test_unreachable_site_is_reported_as_such(tmp_path: Path) -> None:
    """A refused connection is an error of its own, not in a group, and the browser is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    settings = settings_for(tmp_path, f"http://127.0.0.1:{port}/")  # nobody listens there any more
    with pytest.raises(UpstreamUnreachable, match="NS_ERROR_CONNECTION_REFUSED"):
        await log_in_at(settings, _ignore)
    assert own_processes() == []
    assert not settings.user_data_master_dir.exists()


async def test_browser_that_does_not_start_is_reported_in_a_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Playwright's log of the launch, only the browser's own output is shown."""
    firefox = tmp_path / "bin" / "firefox"
    firefox.parent.mkdir()
    firefox.write_text("#!/bin/sh\necho 'Error: no luck today' >&2\nexit 1\n")
    firefox.chmod(0o755)
    monkeypatch.setenv("PATH", str(firefox.parent))
    settings = attrs.evolve(
        settings_for(tmp_path / "made", NOWHERE), sandbox="none"
    )  # this hides its program
    with pytest.raises(EngineUnavailable, match=r"^The browser does not start$") as caught:
        await log_in_at(settings, _ignore)
    assert caught.value.detail == "Error: no luck today"
    assert names_in(tmp_path / "made") == {"clones"}


async def test_profile_of_a_newer_browser_is_left_alone(tmp_path: Path) -> None:
    """Ours would refuse it with a dialog, or harm it."""
    settings = settings_for(tmp_path, NOWHERE)
    profile = make_profile(tmp_path / "master")
    (profile / "compatibility.ini").write_text("[Compatibility]\nLastVersion=999.0_20260101000000/x\n")
    before = snapshot(profile)
    with pytest.raises(ProfileUnusable, match=r"Firefox 999\.0, which is newer than"):
        await log_in_at(settings, _ignore)
    assert snapshot(profile) == before


async def test_profile_in_use_is_left_alone(tmp_path: Path) -> None:
    """A profile that a browser has open is refused before anything is written to it."""
    settings = settings_for(tmp_path, NOWHERE)
    profile = make_profile(tmp_path / "master")
    with locked_by_other_process(profile):
        before = snapshot(profile)
        with pytest.raises(ProfileLocked):
            await log_in_at(settings, _ignore)
        assert snapshot(profile) == before


async def test_directory_that_was_made_for_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if no writing could begin."""
    monkeypatch.setattr(generations, "exchange_problem", lambda _: "is on a disk that can't exchange two")
    settings = settings_for(tmp_path / "made" / "too", NOWHERE)
    with pytest.raises(ProfileNotReplaced, match="on a disk that can't"):
        await log_in_at(settings, _ignore)
    assert names_in(tmp_path / "made" / "too") == {"clones"}


@pytest.mark.parametrize("kind", ["file", "loop", "lock loop"])
async def test_profile_that_can_not_be_opened_is_reported_as_such(tmp_path: Path, kind: str) -> None:
    """A file in place of the profile, or a broken symlink, is an error that shows no path."""
    settings = settings_for(tmp_path, NOWHERE)
    master = tmp_path / "master"
    if kind == "file":
        master.touch()
    elif kind == "loop":
        master.symlink_to(master)
    else:
        master.mkdir()
        (master / ".parentlock").symlink_to(".parentlock")
    with pytest.raises(ProfileUnusable, match=r"^The master profile can't be (opened|read)") as caught:
        await log_in_at(settings, _ignore)
    assert str(tmp_path) in (caught.value.detail or "")


def names_in(folder: Path) -> set[str]:
    """Return the names of a directory's content."""
    return {path.name for path in folder.iterdir()}


def _ignore(_line: str) -> None:
    """Do nothing."""


def _firefox() -> psutil.Process:
    """Return the browser's main process: the one in our cells that has the profile as an argument."""
    return next(
        program.process
        for program in programs(own_processes())
        if program.words and "firefox" in Path(program.words[0]).name and "-contentproc" not in program.words
    )


def test_daemon_at_a_unix_socket_needs_a_port_in_front_of_it() -> None:
    """A browser can't open a socket's file; ssh can forward a port to one."""
    said: list[str] = []
    _say_where("http://localhost/tiktok/session/a/live#link=b&mode=control", said.append, "/run/green.sock")
    assert said[0].endswith("\n  http://127.0.0.1:8700/tiktok/session/a/live#link=b&mode=control\n")
    assert said[1].startswith("The daemon is at a Unix socket. Run `ssh -L 8700:/run/green.sock ")
