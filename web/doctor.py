"""What is installed here, what would fail, and the command that mends it."""

import enum
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import attrs
import psutil
import trio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actors.browser import BrowserHosts, EngineName, bubblewrap_problem, find_engine
from actors.errors import GreenroomError
from actors.profile import is_locked
from actors.profile.lock import LOCK_FILE
from actors.verdict import LoginState
from actors.verdict.detector import LoginDetector
from supervisor.config import SandboxChoice
from supervisor.world import real_browsers
from web.practice import open_practice_site
from web.serving import sole_error_bare
from web.settings import DaemonSettings

# One session's memory on Firefox was measured at 0.7 GB, and a clone is about the size of the profile.
MEMORY_NEEDED = 1 << 30
DISK_NEEDED = 1 << 30
LAUNCH_S = 60.0

INSTALL = "greenroom install-browser"


class Level(enum.Enum):
    """How bad a finding is; with a FAIL, sessions can't run."""

    OK = "ok"
    WARN = "warning"
    FAIL = "fails"


_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@attrs.frozen
class Finding:
    """One thing that was looked at, and the command or step that mends it where it needs mending."""

    subject: str
    level: Level
    found: str
    mend: str = ""


async def show_examination(settings: DaemonSettings, console: Console, launch: bool) -> bool:
    """Examine this machine, with a sign of life meanwhile, and print what was found.

    Returns whether sessions can run: nothing fails.
    """
    findings = []
    with console.status("Looking ...") as status:
        async with aclosing(examine(settings, launch=launch)) as looking:
            async for finding in looking:
                findings.append(finding)
                status.update(f"{finding.subject} done ...")
    table = Table.grid(padding=(0, 2, 0, 0))
    for finding in findings:
        found = escape(finding.found) + (f"\n[bold]-> {escape(finding.mend)}[/]" if finding.mend else "")
        table.add_row(f"[{_STYLES[finding.level]}]{finding.level.value}[/]", finding.subject, found)
    console.print(table)
    return all(finding.level is not Level.FAIL for finding in findings)


async def examine(settings: DaemonSettings, *, launch: bool) -> AsyncGenerator[Finding, None]:
    """Yield a finding for each thing that a session needs. With `launch`, run the browser for real, too."""
    yield Finding("python", Level.OK, f"{platform.python_version()} at {sys.executable}")
    engine = await trio.to_thread.run_sync(_engine, settings)
    yield engine
    sandbox = await trio.to_thread.run_sync(_sandbox, settings)
    yield sandbox
    yield _master_profile(settings)
    yield _clones(settings)
    yield _memory()
    if launch and Level.FAIL not in {engine.level, sandbox.level}:
        yield await _launch(await trio.to_thread.run_sync(real_browsers, settings))


def _engine(settings: DaemonSettings) -> Finding:
    try:
        engine = find_engine(settings.engine.value)
    except GreenroomError as exc:
        return Finding("engine", Level.FAIL, str(exc), INSTALL)
    found = f"{engine.name.value} {engine.version} at {engine.executable}"
    if engine.name is EngineName.FIREFOX:
        why = "stock Firefox stands in for Camoufox, stealth is off"
        return Finding("engine", Level.WARN, f"{found}; {why}", INSTALL)
    return Finding("engine", Level.OK, found)


def _sandbox(settings: DaemonSettings) -> Finding:
    if settings.sandbox is SandboxChoice.NONE:
        return Finding("sandbox", Level.WARN, "none, as set", "set sandbox to auto")
    problem = bubblewrap_problem()
    if problem is None:
        return Finding("sandbox", Level.OK, "bubblewrap")
    level = Level.WARN if settings.sandbox is SandboxChoice.AUTO else Level.FAIL
    installed = shutil.which("bwrap") is not None
    mend = "allow user namespaces on this machine, or to this container" if installed else INSTALL
    return Finding("sandbox", level, f"none: {problem}", mend)


def _master_profile(settings: DaemonSettings) -> Finding:
    master = settings.user_data_master_dir
    subject, login = "master profile", "greenroom login"
    if not os.path.lexists(master):
        return Finding(subject, Level.FAIL, f"{master} does not exist", login)
    if not master.is_dir() or not os.access(master, os.R_OK | os.X_OK, effective_ids=True):
        return Finding(
            subject, Level.FAIL, f"{master} is not a readable directory", "name another: --user-data-dir DIR"
        )
    try:
        locked = is_locked(master)
    except OSError as exc:
        found = f"{master} can't tell whether it is in use: {exc.strerror}"
        return Finding(subject, Level.FAIL, found, f"remove {master / LOCK_FILE} while no browser runs")
    if locked:
        return Finding(subject, Level.FAIL, f"{master} is open in a browser", "close that browser")
    if not (master / "cookies.sqlite").exists():
        return Finding(subject, Level.FAIL, f"{master} has no cookies, so no login", login)
    return Finding(subject, Level.OK, f"{master}, with cookies; a session will tell if they hold")


def _clones(settings: DaemonSettings) -> Finding:
    folder = _first_existing(settings.clones_dir)
    if not folder.is_dir():
        found = f"{settings.clones_dir} can't be made: {folder} is not a directory"
        return Finding("clones", Level.FAIL, found, "move that away, or set clones_dir")
    free = psutil.disk_usage(str(folder)).free
    found = f"{settings.clones_dir}, {_gigabytes(free)} free"
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        return Finding("clones", Level.FAIL, f"{found}, not writable", f"chmod u+wx {folder}")
    if free < DISK_NEEDED:
        return Finding("clones", Level.FAIL, found, "free some disk space, or set clones_dir")
    return Finding("clones", Level.OK, found)


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    level = Level.OK if free >= MEMORY_NEEDED else Level.FAIL
    mend = "" if level is Level.OK else "a session takes about 0.7 GB: end other programs"
    return Finding("memory", level, f"{_gigabytes(free)} available", mend)


async def _launch(browsers: BrowserHosts) -> Finding:
    """Launch the engine on an empty profile, show it the practice site, and judge that."""
    started = time.monotonic()
    problem: str | None = f"it took over {LAUNCH_S:g} s"
    with trio.move_on_after(LAUNCH_S):
        try:
            async with open_practice_site() as site:
                problem = await _try_out(browsers, f"{site}/")
        except GreenroomError as exc:
            problem = f"{exc}: {exc.detail}" if exc.detail else str(exc)
    if problem:
        return Finding("launch", Level.FAIL, problem[:300], f"{INSTALL}, or see --verbose")
    took = time.monotonic() - started
    return Finding("launch", Level.OK, f"launched, loaded a page and judged it in {took:.1f} s")


async def _try_out(browsers: BrowserHosts, url: str) -> str | None:
    """Return what is wrong with the way the browser shows a page of nobody, or None."""
    detector = LoginDetector(timeout_s=8, retries=0, selectors={})
    with tempfile.TemporaryDirectory(prefix="greenroom-doctor-") as profile, sole_error_bare(layers=1):
        async with browsers.open_browser("doctor") as browser:
            await browser.launch(Path(profile), headless=True)
            await browser.navigate(url)
            state = (await detector.judge(browser)).state
    return None if state is LoginState.LOGGED_OUT else f"the practice site was judged {state.value}"


def _first_existing(folder: Path) -> Path:
    real = Path(os.path.realpath(folder))
    return next(path for path in (real, *real.parents) if os.path.lexists(path))


def _gigabytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GB"
