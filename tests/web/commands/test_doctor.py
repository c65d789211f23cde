"""The doctor's findings: how bad each is, and what it says to do. The conditions change one at a time."""

import errno
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog
import trio

from greenroom.actors.browser.cells.marks import own_processes
from greenroom.actors.browser.cells.sandbox import bubblewrap_problem
from greenroom.actors.browser.engines import Engine, EngineName
from greenroom.actors.errors import ResourcesExhausted
from greenroom.actors.resources import Needs, shortage
from greenroom.supervisor import machine as supervisor_machine
from greenroom.supervisor.machine import local_browsers
from greenroom.web.checks import Finding, Level, launch, machine, room
from greenroom.web.commands import doctor
from greenroom.web.commands.doctor import examine, show_examination
from greenroom.web.console import make_console
from greenroom.web.practice import open_practice_site
from tests.actors.profile.logins import keep_login
from tests.actors.profile.profile_trees import (
    locked_by_other_process,
    make_profile,
    snapshot,
    unprivileged_directory,
)
from tests.web.http.front import PATIENCE_S, make_settings

INSTALL = "greenroom install-browser"
HOST = "127.0.0.1"
SUBJECTS = (
    "python",
    "user",
    "engine",
    "sandbox",
    "master profile",
    "clones",
    "disk space",
    "inodes",
    "limits",
    "memory",
    "descriptors",
    "pids",
    "port",
    "site",
)
NOWHERE = f"http://{HOST}:9/"  # nobody listens there


@pytest.fixture(autouse=True)
def _bubblewrap_asked_again() -> Iterator[None]:
    """Clear the cached answer about bubblewrap for each test, since the tests change the machine."""
    bubblewrap_problem.cache_clear()
    yield
    bubblewrap_problem.cache_clear()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty directory that is all of PATH, on a machine without Camoufox."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CAMOUFOX_EXECUTABLE_PATH", raising=False)
    return folder


def program(path: Path, script: str) -> None:
    """Write a program that runs a few lines of shell."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make_master(path: Path) -> Path:
    """Make a profile with a login at the site that these tests are configured for."""
    return keep_login(make_profile(path), host=HOST, expires_at=datetime.now(UTC) + timedelta(days=30))


async def findings(tmp_path: Path, *, launch: bool = False, **settings: Any) -> dict[str, Finding]:
    """Check a machine with its master profile and clones in `tmp_path`; return the findings."""
    master = settings.setdefault("user_data_master_dir", tmp_path / "master")
    settings.setdefault("clones_dir", tmp_path / "clones")
    settings.setdefault("tiktok_url", NOWHERE)
    if master == tmp_path / "master" and not master.exists():
        make_master(master)
    async with aclosing(examine(make_settings(**settings), launch=launch)) as looking:
        found = [finding async for finding in looking]
    assert all(finding.fix for finding in found if finding.level is not Level.OK)
    return {finding.subject: finding for finding in found}


async def test_fine_machine_has_no_failures(tmp_path: Path, programs: Path) -> None:
    """With a browser, a sandbox, a logged-in profile and a site that answers, sessions can run."""
    program(programs / "firefox", "exit 0")
    program(programs / "bwrap", "exit 0")
    async with open_practice_site() as site:
        found = await findings(tmp_path, tiktok_url=f"{site}/")
    assert list(found) == [*SUBJECTS]
    assert Level.FAIL not in {finding.level for finding in found.values()}
    assert found["sandbox"] == Finding("sandbox", Level.OK, "bubblewrap")
    assert found["clones"].level is Level.OK
    assert found["site"] == Finding("site", Level.OK, f"{site}/ answers with HTTP 200")
    assert not (tmp_path / "clones").exists()  # checking creates nothing


def test_root_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything that escapes from a browser gets the rights of its user."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert machine.check_user(make_settings()).level is Level.WARN
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert machine.check_user(make_settings()) == Finding("user", Level.OK, "uid 1000")


def test_display_is_only_checked_for_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A headless browser needs no display; one with windows fails without one."""
    monkeypatch.setenv("DISPLAY", ":59999")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert machine.check_display(make_settings()) is None
    finding = machine.check_display(make_settings(headless=False))
    assert finding is not None
    nobody = "There is no display to show a browser on: nothing answers at DISPLAY=':59999'"
    assert (finding.level, finding.found) == (Level.FAIL, nobody)


async def test_check_that_breaks_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that raises doesn't stop the other checks."""

    def broken(_settings: object) -> Finding:
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere")

    monkeypatch.setattr(doctor, "CHECKS", (("broken", broken), ("python", machine.check_python)))
    found = await findings(tmp_path)
    assert found["broken"].level is Level.FAIL
    assert "Permission denied" in found["broken"].found
    assert found["python"].level is Level.OK


# The engine.


async def test_firefox_alone_warns_that_stealth_is_off(tmp_path: Path, programs: Path) -> None:
    """Firefox works, but it is not Camoufox."""
    program(programs / "firefox", "exit 0")
    engine = (await findings(tmp_path))["engine"]
    assert (engine.level, engine.fix) == (Level.WARN, INSTALL)
    assert str(programs / "firefox") in engine.found
    assert "stealth is off" in engine.found


@pytest.mark.parametrize(
    "proxies", [{"proxy": "http://a:b@127.0.0.1:9"}, {"profile_proxies": {"shop": "http://c:9"}}]
)
async def test_proxy_without_a_location_database_warns(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, proxies: dict[str, Any]
) -> None:
    """With the command that gets it. Without a proxy it is not missed, and Firefox has no use for it."""
    program(programs / "firefox", "exit 0")
    assert "places" not in {one.subject for one in machine.check_engine(make_settings(**proxies))}
    camoufox = Engine(name=EngineName.CAMOUFOX, executable=tmp_path, version="1")
    monkeypatch.setattr(machine, "find_engine", lambda _: camoufox)
    engine, places = machine.check_engine(make_settings(**proxies))
    assert (engine.level, places.subject, places.level) == (Level.OK, "places", Level.WARN)
    assert f"{sys.executable} -m camoufox fetch" in places.fix
    assert "new-identity" in places.fix
    monkeypatch.setattr(supervisor_machine, "find_engine", lambda _: camoufox)
    with structlog.testing.capture_logs() as logged:
        local_browsers(make_settings(**proxies, sandbox="none"))
    assert [(one["log_level"], places.found in one["event"]) for one in logged] == [("warning", True)]
    assert [one.subject for one in machine.check_engine(make_settings())] == ["engine"]
    there = attrs.evolve(camoufox, places=tmp_path / "places.mmdb")
    monkeypatch.setattr(machine, "find_engine", lambda _: there)
    _, places = machine.check_engine(make_settings(**proxies))
    assert (places.level, str(there.places) in places.found) == (Level.OK, True)


@pytest.mark.parametrize(
    ("choice", "missing"),
    [("auto", "Camoufox or Firefox"), ("firefox", "Firefox"), ("camoufox", "Camoufox")],
)
async def test_no_engine_fails(tmp_path: Path, programs: Path, choice: str, missing: str) -> None:
    """Without the wanted browser nothing can run, so no launch is tried."""
    found = await findings(tmp_path, launch=True, engine=choice)
    assert (found["engine"].level, found["engine"].fix) == (Level.FAIL, INSTALL)
    assert found["engine"].found.startswith(f"{missing} is not installed")
    assert "launch" not in found


async def test_camoufox_wanted_but_missing_fails_beside_firefox(tmp_path: Path, programs: Path) -> None:
    """If you ask for Camoufox, Firefox is no substitute."""
    program(programs / "firefox", "exit 0")
    assert (await findings(tmp_path, engine="camoufox"))["engine"].level is Level.FAIL


# The sandbox.


@pytest.mark.parametrize(("choice", "level"), [("auto", Level.WARN), ("bubblewrap", Level.FAIL)])
async def test_missing_bubblewrap_is_as_bad_as_the_setting_says(
    tmp_path: Path, programs: Path, choice: str, level: Level
) -> None:
    """Sessions run without bubblewrap unless the setting requires it. The engine is found either way."""
    program(programs / "firefox", "exit 0")
    found = await findings(tmp_path, launch=level is Level.FAIL, sandbox=choice)
    assert found["sandbox"] == Finding("sandbox", level, "none: bubblewrap is not installed", INSTALL)
    assert found["engine"].level is Level.WARN
    assert "launch" not in found


async def test_bubblewrap_that_does_not_run_needs_no_installation(tmp_path: Path, programs: Path) -> None:
    """If it is installed but not allowed to run, installing it again fixes nothing."""
    program(programs / "bwrap", "echo 'setting up uid map: Permission denied' >&2; exit 1")
    sandbox = (await findings(tmp_path))["sandbox"]
    assert sandbox.level is Level.WARN
    assert "setting up uid map: Permission denied" in sandbox.found
    assert "user namespaces" in sandbox.fix


async def test_sandbox_turned_off_warns(tmp_path: Path, programs: Path) -> None:
    """The user is reminded that the sandbox is turned off."""
    sandbox = (await findings(tmp_path, sandbox="none"))["sandbox"]
    assert sandbox == Finding("sandbox", Level.WARN, "none, as set", "set sandbox to auto")


# The master profile.


async def test_missing_master_fails_and_names_login(tmp_path: Path) -> None:
    """A missing profile is made by logging in."""
    master = (await findings(tmp_path, user_data_master_dir=tmp_path / "none"))["master profile"]
    assert (master.level, master.fix) == (Level.FAIL, "greenroom login")
    assert master.found == f"{tmp_path / 'none'} does not exist"


async def test_master_with_a_login_says_until_when(tmp_path: Path) -> None:
    """The finding names the login's cookies and how long they last at most."""
    expires_at = datetime(2099, 1, 2, 3, 4, tzinfo=UTC)
    master = keep_login(make_profile(tmp_path / "master"), host=HOST, expires_at=expires_at)
    found = (await findings(tmp_path))["master profile"]
    assert found.level is Level.OK
    assert found.found == f"{master}, with a login at {HOST}: sessionid, until 2099-01-02 03:04 UTC at most"


@pytest.mark.parametrize("kind", ["no cookies", "a visitor's", "elsewhere", "expired", "unreadable"])
async def test_master_without_a_login_names_login(tmp_path: Path, kind: str) -> None:
    """Never logged in, logged in elsewhere, or too long ago: sessions would be refused."""
    profile, later = make_profile(tmp_path / "master"), datetime.now(UTC) + timedelta(days=30)
    level, says = Level.FAIL, f"{profile} has no login at {HOST}"
    if kind == "no cookies":
        (profile / "cookies.sqlite").unlink()
    elif kind == "a visitor's":
        keep_login(profile, host=HOST, expires_at=later, name="ttwid")
    elif kind == "elsewhere":
        keep_login(profile, host=".example.com", expires_at=later)
    elif kind == "expired":
        keep_login(profile, host=HOST, expires_at=datetime(2026, 1, 2, tzinfo=UTC))
        says = f"{profile}: the login at {HOST} has expired, 2026-01-02 00:00 UTC"
    else:  # the file that `make_profile` makes is not a database
        level, says = Level.WARN, f"{profile}: The profile's cookies can't be read ("
    master = (await findings(tmp_path))["master profile"]
    assert (master.level, master.fix) == (level, "greenroom login")
    assert master.found.startswith(says)


async def test_empty_master_fails_and_names_login(tmp_path: Path) -> None:
    """An empty directory is not reported as missing."""
    (tmp_path / "master").mkdir()
    master = (await findings(tmp_path))["master profile"]
    assert (master.level, master.fix) == (Level.FAIL, "greenroom login")
    assert master.found == f"{tmp_path / 'master'} is empty"


async def test_master_in_use_fails_and_is_left_alone(tmp_path: Path) -> None:
    """A profile that is open in a browser is not changed."""
    profile = make_profile(tmp_path / "master")
    with locked_by_other_process(profile):
        before = snapshot(profile)
        master = (await findings(tmp_path))["master profile"]
        assert snapshot(profile) == before
    assert master.level is Level.FAIL
    assert re.fullmatch(r"close python\S*, process \d+", master.fix or "")
    assert "is locked by another process" in master.found


@pytest.mark.parametrize(("kind", "why"), [("file", "Not a directory"), ("loop", "Too many levels")])
async def test_master_that_is_not_a_directory_fails(tmp_path: Path, kind: str, why: str) -> None:
    """A file and a loop of symlinks are not profiles. The finding says what they are."""
    path = tmp_path / "odd"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(path)
    master = (await findings(tmp_path, user_data_master_dir=path))["master profile"]
    assert master.level is Level.FAIL
    assert master.found.startswith(f"{path}: The master profile can't be read: {why}")
    assert "--user-data-dir" in master.fix


async def test_lock_file_that_can_not_be_opened_fails(tmp_path: Path) -> None:
    """If the check for a lock fails, that is a finding, not a crash."""
    lock = make_profile(tmp_path / "master") / ".parentlock"
    lock.unlink()
    lock.symlink_to(lock)
    master = (await findings(tmp_path))["master profile"]
    assert master.level is Level.FAIL
    assert master.fix == f"remove {lock} while no browser runs"


# The clones directory, and memory.


async def test_file_where_clones_go_fails(tmp_path: Path) -> None:
    """A file in place of the clones directory, or above it, is named."""
    (tmp_path / "file").touch()
    for clones in (tmp_path / "file", tmp_path / "file" / "clones"):
        found = (await findings(tmp_path, clones_dir=clones))["clones"]
        assert (found.level, found.fix) == (Level.FAIL, "move that away, or set clones_dir")
        assert found.found == f"{clones} can't be made: {tmp_path / 'file'} is not a directory"


async def test_directories_without_permission_fail() -> None:
    """A directory without permission is named, and is not reported as missing."""
    with unprivileged_directory() as folder:
        master, clones = folder / "hidden" / "master", folder / "clones"
        make_master(master)
        master.parent.chmod(0)
        clones.mkdir(mode=0o500)
        found = await findings(folder, engine="firefox", user_data_master_dir=master)
        master.parent.chmod(0o700)
    assert found["master profile"].level is Level.FAIL
    assert found["master profile"].found == f"{master}: The master profile can't be read: Permission denied"
    assert found["master profile"].fix.startswith("let this user (uid ")
    assert found["master profile"].fix.endswith(f") read {master}")
    assert (found["clones"].level, found["clones"].fix) == (Level.FAIL, f"chmod u+rwx {clones}")
    assert found["clones"].found == f"{clones}: nothing can be made in {clones}: Permission denied"


async def test_cookies_that_may_not_be_read_are_not_called_missing() -> None:
    """The login is there but belongs to another user. Logging in again would not fix that."""
    with unprivileged_directory() as folder:
        cookies = make_master(folder / "master") / "cookies.sqlite"
        cookies.chmod(0)
        found = (await findings(folder, engine="firefox"))["master profile"]
    assert found.level is Level.FAIL
    assert "cookies can't be read" in found.found
    assert found.fix.startswith("let this user (uid ")
    assert found.fix.endswith(f") read {cookies}")


async def test_directory_that_takes_no_files_is_not_called_full(tmp_path: Path) -> None:
    """If nothing can be made in it, freeing disk space doesn't help."""
    found = await findings(tmp_path, clones_dir=Path("/proc/greenroom"))
    clones = found["clones"]
    assert clones.level is Level.FAIL
    assert clones.found.startswith("/proc/greenroom: nothing can be made in /proc: ")
    assert clones.fix.startswith("set clones_dir")
    assert "disk space" not in found


@pytest.mark.parametrize(("mode", "level"), [(0o777, Level.WARN), (0o1777, Level.OK), (0o755, Level.OK)])
async def test_directory_that_others_can_change_is_warned_of(tmp_path: Path, mode: int, level: Level) -> None:
    """Somebody who can rename a session's directory can replace it."""
    clones = tmp_path / "clones"
    clones.mkdir()
    clones.chmod(mode)
    assert (await findings(tmp_path))["clones"].level is level
    assert list(clones.iterdir()) == []


@pytest.mark.parametrize(
    ("need", "subject"),
    [
        ("disk_bytes", "disk space"),
        ("inodes", "inodes"),
        ("memory_bytes", "memory"),
        ("file_descriptors", "descriptors"),
        ("pids", "pids"),
    ],
)
async def test_scarce_resource_fails_with_the_daemons_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need: str, subject: str
) -> None:
    """Each resource is checked separately, with the daemon's own check before a session."""
    needs = attrs.evolve(Needs(), **{need: 1 << 60})
    if shortage(tmp_path, needs) is None:
        pytest.skip("nothing limits that here")
    monkeypatch.setattr(room, "Needs", lambda: needs)
    found = await findings(tmp_path)
    assert found[subject].level is Level.FAIL
    assert found[subject].found.startswith("There ")
    others = [name for name in ("disk space", "inodes", "memory", "descriptors", "pids") if name != subject]
    assert Level.FAIL not in {found[name].level for name in others}


# Launching.


async def test_browser_that_does_not_start_fails_with_its_own_words(tmp_path: Path, programs: Path) -> None:
    """The engine exists but exits at once, so installing it again fixes nothing."""
    program(programs / "firefox", "echo 'Error: no luck today' >&2; exit 1")
    finding = (await findings(tmp_path, launch=True, sandbox="none"))["launch"]
    assert finding.level is Level.FAIL
    assert finding.found == "The browser does not start: Error: no luck today"
    assert "--verbose" in finding.fix


async def test_missing_library_is_to_be_installed(tmp_path: Path, programs: Path) -> None:
    """It is the only failed launch that an installation fixes."""
    program(programs / "firefox", "echo 'error while loading shared libraries: libgtk-3.so.0' >&2; exit 127")
    finding = (await findings(tmp_path, launch=True, sandbox="none"))["launch"]
    assert (finding.level, finding.fix) == (Level.FAIL, INSTALL)
    assert "libgtk-3.so.0" in finding.found


async def test_browser_that_hangs_fails_after_a_while(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check doesn't wait forever for a browser that never answers."""
    monkeypatch.setattr(launch, "LAUNCH_S", 0.5)
    program(programs / "firefox", "exec /bin/sleep 60")
    with trio.fail_after(PATIENCE_S):
        finding = (await findings(tmp_path, launch=True, sandbox="none"))["launch"]
    assert (finding.level, finding.found) == (Level.FAIL, "it took over 0.5 s")


async def test_master_that_can_not_be_cloned_fails_as_for_a_session(tmp_path: Path, programs: Path) -> None:
    """Some problems only show when the profile is copied. The trial launch copies it."""
    program(programs / "firefox", "exit 0")
    os.mkfifo(make_master(tmp_path / "master") / "pipe")
    found = await findings(tmp_path, launch=True, sandbox="none")
    assert found["master profile"].level is Level.OK
    assert found["launch"].level is Level.FAIL
    assert found["launch"].found.startswith("The master profile contains a FIFO")


async def test_master_that_is_not_a_profile_does_not_hide_how_a_launch_goes(
    tmp_path: Path, programs: Path
) -> None:
    """The profile's own check reports it once."""
    program(programs / "firefox", "echo 'Error: no luck today' >&2; exit 1")
    (tmp_path / "master" / "Default").mkdir(parents=True)
    (tmp_path / "master" / "Local State").write_text("{}")
    found = await findings(tmp_path, launch=True, sandbox="none")
    assert "Chromium" in found["master profile"].found
    assert found["launch"].found == "The browser does not start: Error: no luck today"


async def test_launch_without_room_points_to_the_finding_about_it(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping other programs frees no disk space, for example."""

    async def fail(_: object) -> None:
        raise ResourcesExhausted("There is too little disk space for one more session")

    program(programs / "firefox", "exit 0")
    monkeypatch.setattr(launch, "_try_out", fail)
    finding = (await findings(tmp_path, launch=True, sandbox="none"))["launch"]
    assert finding.fix.startswith("see the finding about disk space")


@pytest.mark.browser
@pytest.mark.parametrize("master", ["there", "missing"])
async def test_browser_that_works_is_launched_in_the_daemons_directories(tmp_path: Path, master: str) -> None:
    """It runs on a clone in `clones_dir`. The master stays as it is, and nothing is left afterwards."""
    path = make_profile(tmp_path / "master")
    (path / "cookies.sqlite").unlink()
    before = snapshot(path)
    if master == "missing":
        path = tmp_path / "none"
    finding = (await findings(tmp_path, launch=True, engine="firefox", user_data_master_dir=path))["launch"]
    assert finding.level is Level.OK
    assert finding.found.startswith("launched, loaded a page and looked at it in ")
    assert snapshot(tmp_path / "master") == before
    assert names_in(tmp_path / "clones") == set()
    assert own_processes() == []


def names_in(folder: Path) -> set[str]:
    """Return the names of a directory's content."""
    return {path.name for path in folder.iterdir()}


# What is printed.


async def test_json_is_one_document_with_every_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs get what people see: whether sessions can run, and every finding with its fields."""
    found = [Finding("a", Level.OK, "fine"), Finding("b", Level.FAIL, "[bold]not", "do this")]
    monkeypatch.setattr(doctor, "CHECKS", [("all", lambda _settings: iter(found))])
    out = io.StringIO()
    settings = make_settings(user_data_master_dir=tmp_path / "master")
    assert not await show_examination(settings, make_console(out), launch=False, as_json=True)
    assert json.loads(out.getvalue()) == {
        "ok": False,
        "findings": [
            {"subject": "a", "level": "ok", "found": "fine", "fix": ""},
            {"subject": "b", "level": "fails", "found": "[bold]not", "fix": "do this"},
        ],
    }
    found.pop()
    assert await show_examination(settings, make_console(io.StringIO()), launch=False)
