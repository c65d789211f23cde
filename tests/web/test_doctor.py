"""The doctor's findings: how bad each is, and what it says to do, under conditions changed one at a time."""

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from actors.browser import bubblewrap_problem
from tests.actors.profile_trees import (
    locked_by_other_process,
    make_profile,
    snapshot,
    unprivileged_directory,
)
from tests.web.front import PATIENCE_S, make_settings
from web import doctor
from web.doctor import Finding, Level, examine

INSTALL = "greenroom install-browser"


@pytest.fixture(autouse=True)
def _bubblewrap_asked_again() -> Iterator[None]:
    """Let each test ask for bubblewrap anew: the answer is kept, and here the machine changes."""
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


async def findings(tmp_path: Path, *, launch: bool = False, **settings: Any) -> dict[str, Finding]:
    """Examine a machine whose master profile and clones are in `tmp_path`, and return what was found."""
    master = settings.setdefault("user_data_master_dir", tmp_path / "master")
    settings.setdefault("clones_dir", tmp_path / "clones")
    if master == tmp_path / "master" and not master.exists():
        make_profile(master)
    async with aclosing(examine(make_settings(**settings), launch=launch)) as looking:
        found = [finding async for finding in looking]
    assert all(finding.mend for finding in found if finding.level is not Level.OK)
    return {finding.subject: finding for finding in found}


async def test_fine_machine_fails_in_nothing(tmp_path: Path, programs: Path) -> None:
    """With a browser, a sandbox and a profile that has cookies, sessions can run."""
    program(programs / "firefox", "exit 0")
    program(programs / "bwrap", "exit 0")
    found = await findings(tmp_path)
    assert list(found) == ["python", "engine", "sandbox", "master profile", "clones", "memory"]
    assert Level.FAIL not in {finding.level for finding in found.values()}
    assert found["sandbox"] == Finding("sandbox", Level.OK, "bubblewrap")
    assert found["master profile"].level is Level.OK
    assert str(tmp_path / "master") in found["master profile"].found
    assert found["clones"].level is Level.OK
    assert not (tmp_path / "clones").exists()  # looking makes nothing


# The engine.


async def test_firefox_alone_warns_that_stealth_is_off(tmp_path: Path, programs: Path) -> None:
    """Firefox does, but is no Camoufox."""
    program(programs / "firefox", "exit 0")
    engine = (await findings(tmp_path))["engine"]
    assert (engine.level, engine.mend) == (Level.WARN, INSTALL)
    assert str(programs / "firefox") in engine.found
    assert "stealth is off" in engine.found


@pytest.mark.parametrize(
    ("choice", "missing"),
    [("auto", "Camoufox or Firefox"), ("firefox", "Firefox"), ("camoufox", "Camoufox")],
)
async def test_no_engine_fails(tmp_path: Path, programs: Path, choice: str, missing: str) -> None:
    """Without the browser that is wanted nothing can run, and launching it is not tried."""
    found = await findings(tmp_path, launch=True, engine=choice)
    assert (found["engine"].level, found["engine"].mend) == (Level.FAIL, INSTALL)
    assert found["engine"].found.startswith(f"{missing} is not installed")
    assert "launch" not in found


async def test_camoufox_wanted_but_not_there_fails_beside_firefox(tmp_path: Path, programs: Path) -> None:
    """Firefox is no substitute for whoever asks for Camoufox."""
    program(programs / "firefox", "exit 0")
    assert (await findings(tmp_path, engine="camoufox"))["engine"].level is Level.FAIL


# The sandbox.


@pytest.mark.parametrize(("choice", "level"), [("auto", Level.WARN), ("bubblewrap", Level.FAIL)])
async def test_no_bubblewrap_is_as_bad_as_it_is_wanted(
    tmp_path: Path, programs: Path, choice: str, level: Level
) -> None:
    """Without bubblewrap sessions do run, unless it is demanded; the engine is found all the same."""
    program(programs / "firefox", "exit 0")
    found = await findings(tmp_path, launch=level is Level.FAIL, sandbox=choice)
    assert found["sandbox"] == Finding("sandbox", level, "none: bubblewrap is not installed", INSTALL)
    assert found["engine"].level is Level.WARN
    assert "launch" not in found


async def test_bubblewrap_that_does_not_run_is_not_to_be_installed(tmp_path: Path, programs: Path) -> None:
    """Where it is installed and forbidden, installing it mends nothing."""
    program(programs / "bwrap", "echo 'setting up uid map: Permission denied' >&2; exit 1")
    sandbox = (await findings(tmp_path))["sandbox"]
    assert sandbox.level is Level.WARN
    assert "setting up uid map: Permission denied" in sandbox.found
    assert "user namespaces" in sandbox.mend


async def test_sandbox_turned_off_warns(tmp_path: Path, programs: Path) -> None:
    """Whoever turned the sandbox off is reminded of it."""
    sandbox = (await findings(tmp_path, sandbox="none"))["sandbox"]
    assert sandbox == Finding("sandbox", Level.WARN, "none, as set", "set sandbox to auto")


# The master profile.


async def test_missing_master_fails_and_names_login(tmp_path: Path) -> None:
    """A profile that is not there yet is made by logging in."""
    master = (await findings(tmp_path, user_data_master_dir=tmp_path / "none"))["master profile"]
    assert (master.level, master.mend) == (Level.FAIL, "greenroom login")
    assert master.found == f"{tmp_path / 'none'} does not exist"


async def test_master_without_cookies_fails_and_names_login(tmp_path: Path) -> None:
    """A profile that was never logged in anywhere can't make a session."""
    (make_profile(tmp_path / "master") / "cookies.sqlite").unlink()
    master = (await findings(tmp_path))["master profile"]
    assert (master.level, master.mend) == (Level.FAIL, "greenroom login")
    assert "no cookies" in master.found


async def test_master_in_use_fails_and_is_left_alone(tmp_path: Path) -> None:
    """A profile that a browser has open is only looked at."""
    profile = make_profile(tmp_path / "master")
    with locked_by_other_process(profile):
        before = snapshot(profile)
        master = (await findings(tmp_path))["master profile"]
        assert snapshot(profile) == before
    assert (master.level, master.mend) == (Level.FAIL, "close that browser")
    assert "is open in a browser" in master.found


@pytest.mark.parametrize("kind", ["file", "loop", "dangling"])
async def test_master_that_is_no_directory_fails(tmp_path: Path, kind: str) -> None:
    """A file, a loop of symlinks and one to nowhere are no profiles."""
    path = tmp_path / "odd"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(path if kind == "loop" else tmp_path / "nowhere")
    master = (await findings(tmp_path, user_data_master_dir=path))["master profile"]
    assert (master.level, master.found) == (Level.FAIL, f"{path} is not a readable directory")
    assert "--user-data-dir" in master.mend


async def test_lock_file_that_can_not_be_opened_fails(tmp_path: Path) -> None:
    """A profile that can't tell whether it is in use is a finding, not a crash."""
    lock = make_profile(tmp_path / "master") / ".parentlock"
    lock.unlink()
    lock.symlink_to(lock)
    master = (await findings(tmp_path))["master profile"]
    assert master.level is Level.FAIL
    assert str(lock) in master.mend


# Where clones go, and memory.


async def test_file_where_clones_go_fails(tmp_path: Path) -> None:
    """A file in the place of the clones' directory, or above it, is named."""
    (tmp_path / "file").touch()
    for clones in (tmp_path / "file", tmp_path / "file" / "clones"):
        found = (await findings(tmp_path, clones_dir=clones))["clones"]
        assert (found.level, found.mend) == (Level.FAIL, "move that away, or set clones_dir")
        assert found.found == f"{clones} can't be made: {tmp_path / 'file'} is not a directory"


async def test_directories_without_permission_fail() -> None:
    """A profile that may not be read, and a place for clones that may not be written to, are named."""
    with unprivileged_directory() as folder:
        master, clones = folder / "master", folder / "clones"
        make_profile(master).chmod(0o300)
        clones.mkdir(mode=0o500)
        found = await findings(folder, engine="firefox")
        master.chmod(0o700)
    assert found["master profile"].level is Level.FAIL
    assert found["master profile"].found == f"{master} is not a readable directory"
    assert (found["clones"].level, found["clones"].mend) == (Level.FAIL, f"chmod u+wx {clones}")
    assert found["clones"].found.endswith("not writable")


async def test_little_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which no clone fits is found before a session finds it."""
    free = psutil.disk_usage(str(tmp_path)).free
    monkeypatch.setattr(doctor, "DISK_NEEDED", free * 2)
    found = (await findings(tmp_path))["clones"]
    assert found.level is Level.FAIL
    assert "GB free" in found.found


async def test_little_memory_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that no browser fits in is found before the kernel finds it."""
    monkeypatch.setattr(doctor, "MEMORY_NEEDED", psutil.virtual_memory().total * 2)
    found = (await findings(tmp_path))["memory"]
    assert found.level is Level.FAIL
    assert "GB available" in found.found


# Launching.


async def test_browser_that_does_not_start_fails(tmp_path: Path, programs: Path) -> None:
    """An engine that is there and ends at once is a finding with a way to more."""
    program(programs / "firefox", "exit 1")
    launch = (await findings(tmp_path, launch=True, sandbox="none"))["launch"]
    assert (launch.level, launch.mend) == (Level.FAIL, f"{INSTALL}, or see --verbose")
    assert launch.found.startswith("The browser does not start")


async def test_browser_that_hangs_fails_in_time(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that never answers is given up."""
    monkeypatch.setattr(doctor, "LAUNCH_S", 0.5)
    program(programs / "firefox", "exec /bin/sleep 60")
    with trio.fail_after(PATIENCE_S):
        launch = (await findings(tmp_path, launch=True, sandbox="none"))["launch"]
    assert (launch.level, launch.found) == (Level.FAIL, "it took over 0.5 s")


@pytest.mark.browser
async def test_browser_that_works_is_launched_for_real(tmp_path: Path) -> None:
    """The installed browser loads a page and is judged, without the master profile."""
    before = snapshot(make_profile(tmp_path / "master"))
    launch = (await findings(tmp_path, launch=True, engine="firefox"))["launch"]
    assert launch.level is Level.OK
    assert launch.found.startswith("launched, loaded a page and judged it in ")
    assert snapshot(tmp_path / "master") == before
