"""Checks of the machine: the interpreter, the user, the browser, the sandbox, the display."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator

from greenroom.actors.browser.cells.sandbox import SandboxChoice, bubblewrap_problem
from greenroom.actors.browser.engines import Engine, EngineName, find_engine
from greenroom.actors.errors import GreenroomError
from greenroom.supervisor.machine import places_problem
from greenroom.web.checks.finding import INSTALL, Finding, Level
from greenroom.web.display import display_problem
from greenroom.web.settings import DaemonSettings


def check_python(_settings: DaemonSettings) -> Finding:
    """Report which Python runs Greenroom."""
    return Finding("python", Level.OK, f"{platform.python_version()} at {sys.executable}")


def check_user(_settings: DaemonSettings) -> Finding:
    """Warn if Greenroom runs as root: anything that escapes from a browser then owns the machine."""
    if os.geteuid() != 0:
        return Finding("user", Level.OK, f"uid {os.geteuid()}")
    found = "root: anything that escapes from a browser owns the machine"
    return Finding("user", Level.WARN, found, "run Greenroom as a dedicated user")


def check_engine(settings: DaemonSettings) -> Iterator[Finding]:
    """Look for the browser that sessions would launch, and for what it needs behind a proxy."""
    try:
        engine = find_engine(settings.engine)
    except GreenroomError as exc:
        yield Finding("engine", Level.FAIL, str(exc), INSTALL)
        return
    yield _describe(engine)
    if problem := places_problem(engine, settings):
        found, _, fix = problem.partition(": ")
        yield Finding("places", Level.WARN, found, fix)
    elif engine.places is not None:
        yield Finding("places", Level.OK, f"the location database is {engine.places}")


def _describe(engine: Engine) -> Finding:
    found = f"{engine.name.value} {engine.version} at {engine.executable}"
    if engine.name is EngineName.FIREFOX:
        why = (
            "stock Firefox stands in for Camoufox: stealth is off, and while one is launched, other users of "
            "this machine can reach its debugging port on loopback"
        )
        return Finding("engine", Level.WARN, f"{found}; {why}", INSTALL)
    return Finding("engine", Level.OK, found)


def check_sandbox(settings: DaemonSettings) -> Finding:
    """Check whether browsers get the configured sandbox."""
    if settings.sandbox is SandboxChoice.NONE:
        return Finding("sandbox", Level.WARN, "none, as set", "set sandbox to auto")
    problem = bubblewrap_problem()
    if problem is None:
        return Finding("sandbox", Level.OK, "bubblewrap")
    level = Level.WARN if settings.sandbox is SandboxChoice.AUTO else Level.FAIL
    installed = shutil.which("bwrap") is not None
    fix = "allow user namespaces on this machine, or to this container" if installed else INSTALL
    return Finding("sandbox", level, f"none: {problem}", fix)


def check_display(settings: DaemonSettings) -> Finding | None:
    """Check the display, if sessions need one. None if they are headless."""
    if settings.headless:
        return None
    if problem := display_problem():
        return Finding(
            "display", Level.FAIL, problem, "set headless to true, or DISPLAY to a running display"
        )
    return Finding("display", Level.OK, "answers")
