"""A trial launch, done as the daemon does it: same sandbox, directories, ledger, engine and master."""

import contextlib
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import attrs
import trio

from greenroom.actors.browser.client.failure import plain_reason
from greenroom.actors.errors import (
    BrowserLost,
    CloneFailed,
    EngineUnavailable,
    GreenroomError,
    NotAProfile,
    NotLoggedIn,
    ProfileLocked,
    ProfileUnusable,
    ResourcesExhausted,
)
from greenroom.actors.verdict import Method
from greenroom.supervisor.machine import open_machine
from greenroom.web.checks.finding import INSTALL, Finding, Level
from greenroom.web.groups import sole_error_bare
from greenroom.web.settings import DaemonSettings

LAUNCH_S = 60.0

_SEE_MORE = "greenroom doctor --verbose shows what the browser prints"
_PAGE = "data:text/html;base64," + b64encode(b"<!doctype html><title>Doctor</title><p>.</p>").decode()
_FIXES: dict[type[GreenroomError], str] = {
    BrowserLost: _SEE_MORE,
    CloneFailed: "see the finding about clones, or set clones_dir",
    ProfileUnusable: "see the finding about the master profile, or remove the cause from it",
    ResourcesExhausted: "see the finding about disk space, inodes, memory, descriptors and pids",
}


async def check_launch(settings: DaemonSettings) -> Finding:
    """Launch the browser on a clone of the master profile, load a page and inspect it.

    If the master is missing, empty, in use or not a profile, another check reports that; the browser is then
    launched on an empty profile. The page is a data: URL, so no site is contacted. Everything is removed
    afterwards.
    """
    started = time.monotonic()
    with trio.move_on_after(LAUNCH_S):
        try:
            try:
                await _try_out(settings)
            except (NotAProfile, NotLoggedIn, ProfileLocked):
                with _without_master(settings) as bare:
                    await _try_out(bare)
        except GreenroomError as exc:
            return _failure(exc)
        took = time.monotonic() - started
        found = f"launched, loaded a page and looked at it in {took:.1f} s"
        if took > settings.session_creation_timeout:
            fix = "raise session_creation_timeout, or stop other programs"
            late = f"{found}: a session has {settings.session_creation_timeout:g} s"
            return Finding("launch", Level.FAIL, late, fix)
        return Finding("launch", Level.OK, found)
    return Finding("launch", Level.FAIL, f"it took over {LAUNCH_S:g} s", _SEE_MORE)


@contextlib.contextmanager
def _without_master(settings: DaemonSettings) -> Iterator[DaemonSettings]:
    """Yield the settings with an empty master profile, which is removed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="greenroom-doctor-") as name:
        Path(name, "prefs.js").touch()
        yield attrs.evolve(settings, user_data_master_dir=Path(name))


async def _try_out(settings: DaemonSettings) -> None:
    with sole_error_bare(layers=1):  # the pool's nursery
        async with open_machine(settings) as machine, machine.open_workspace("doctor") as workspace:
            browser = await workspace.launch(headless=settings.headless)
            await browser.navigate(_PAGE)
            await browser.inspect(Method.HTML, {})


def _failure(error: GreenroomError) -> Finding:
    reason = plain_reason(error.detail or "")
    found = f"{error}: {reason}" if reason else str(error)
    fix = next((fix for kind, fix in _FIXES.items() if isinstance(error, kind)), _SEE_MORE)
    if isinstance(error, EngineUnavailable):
        # install-browser also installs the shared libraries that the browser needs.
        fix = INSTALL if "shared librar" in found or "not installed" in found else _SEE_MORE
    return Finding("launch", Level.FAIL, found[:300], fix)
