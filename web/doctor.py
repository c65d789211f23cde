"""What is installed here, what would fail, and the command that mends it."""

import enum
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import attrs
import psutil
import trio

from actors.browser import BrowserHosts, EngineName, bubblewrap_problem, choose_sandbox, find_engine
from actors.errors import GreenroomError
from actors.profile import is_locked
from actors.verdict import LoginDetector, LoginState
from supervisor.world import parse_proxy
from web.practice import open_practice_site
from web.settings import DaemonSettings

# One session's memory on Firefox was measured at 0.7 GB, and a clone is about the size of the profile.
MEMORY_NEEDED = 1 << 30
DISK_NEEDED = 1 << 30
LAUNCH_S = 60.0


class Level(enum.Enum):
    """How bad a finding is; with a FAIL, sessions can't run."""

    OK = "ok"
    WARN = "warning"
    FAIL = "fails"


@attrs.frozen
class Finding:
    """One thing that was looked at, and the command or step that mends it where it needs mending."""

    subject: str
    level: Level
    found: str
    mend: str = ""


async def examine(settings: DaemonSettings, *, launch: bool) -> AsyncGenerator[Finding, None]:
    """Yield a finding for each thing that a session needs. With `launch`, run the browser for real, too."""
    yield Finding("python", Level.OK, f"{platform.python_version()} at {sys.executable}")
    engine_finding, browsers = await trio.to_thread.run_sync(_engine, settings)
    yield engine_finding
    yield _sandbox(settings)
    yield _master_profile(settings)
    yield _clones(settings)
    yield _memory()
    if launch and browsers is not None:
        yield await _launch(browsers)


def _engine(settings: DaemonSettings) -> tuple[Finding, BrowserHosts | None]:
    try:
        engine = find_engine(settings.engine.value)
        sandbox = choose_sandbox(settings.sandbox.value)
    except GreenroomError as exc:
        return Finding("engine", Level.FAIL, str(exc), "greenroom install-browser"), None
    proxy = parse_proxy(settings.proxy) if settings.proxy else None
    browsers = BrowserHosts(engine=engine, sandbox=sandbox, proxy=proxy)
    found = f"{engine.name.value} {engine.version} at {engine.executable}"
    if engine.name is EngineName.FIREFOX:
        why = "stock Firefox stands in for Camoufox, stealth is off"
        return Finding("engine", Level.WARN, f"{found}; {why}", "python -m camoufox fetch"), browsers
    return Finding("engine", Level.OK, found), browsers


def _sandbox(settings: DaemonSettings) -> Finding:
    problem = bubblewrap_problem()
    if settings.sandbox.value == "none":
        return Finding("sandbox", Level.WARN, "none, as set", "set sandbox to auto")
    if problem is None:
        return Finding("sandbox", Level.OK, "bubblewrap")
    level = Level.WARN if settings.sandbox.value == "auto" else Level.FAIL
    return Finding("sandbox", level, f"none: {problem}", "apt-get install bubblewrap")


def _master_profile(settings: DaemonSettings) -> Finding:
    master = settings.user_data_master_dir
    mend = "greenroom login"
    if not master.exists():
        return Finding("master profile", Level.FAIL, f"{master} does not exist", mend)
    if not master.is_dir() or not os.access(master, os.R_OK | os.X_OK):
        return Finding("master profile", Level.FAIL, f"{master} is not a readable directory", "name another")
    if is_locked(master):
        return Finding("master profile", Level.FAIL, f"{master} is open in a browser", "close that browser")
    if not (master / "cookies.sqlite").exists():
        return Finding("master profile", Level.FAIL, f"{master} has no cookies, so no login", mend)
    return Finding("master profile", Level.OK, f"{master}, with cookies; a session will tell if they hold")


def _clones(settings: DaemonSettings) -> Finding:
    folder = _first_existing(settings.clones_dir)
    free = psutil.disk_usage(str(folder)).free
    found = f"{settings.clones_dir}, {_gigabytes(free)} free"
    if not os.access(folder, os.W_OK | os.X_OK):
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
    detector = LoginDetector(timeout_s=8, retries=0, selectors={"logged_out": "[data-e2e='login-button']"})
    problem: str | None = None
    async with open_practice_site() as site:
        with (
            tempfile.TemporaryDirectory(prefix="greenroom-doctor-") as profile,
            trio.move_on_after(LAUNCH_S) as limit,
        ):
            async with browsers.open_host("doctor") as browser:
                try:
                    await browser.launch(Path(profile), headless=True)
                    await browser.navigate(f"{site}/")
                    verdict = await detector.judge(browser)
                    if verdict.state is not LoginState.LOGGED_OUT:
                        problem = f"the practice site was judged {verdict.state.value}"
                except GreenroomError as exc:
                    problem = f"{exc}: {exc.detail}" if exc.detail else str(exc)
        if limit.cancelled_caught:
            problem = f"it took over {LAUNCH_S:g} s"
    if problem:
        return Finding("launch", Level.FAIL, problem[:300], "greenroom install-browser, or see --verbose")
    took = time.monotonic() - started
    return Finding("launch", Level.OK, f"launched, loaded a page and judged it in {took:.1f} s")


def _first_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.resolve().parents) if path.exists())


def _gigabytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GB"
