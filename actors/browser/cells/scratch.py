"""A cell's directory for temporary files."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
import trio

from greenroom.actors.browser.cells.ending import NotEnded
from greenroom.actors.browser.cells.environment import make_places
from greenroom.actors.errors import BrowserLost, CloneFailed
from greenroom.actors.profile.removal import remove_in_time, remove_tree
from greenroom.actors.threads import Work, finish_in_thread

START_S = 10.0
NO_START = "The browser host does not start"

_log = structlog.get_logger("greenroom.cells")


@contextlib.asynccontextmanager
async def open_scratch(wanted: Path | None) -> AsyncIterator[str]:
    """Make a directory for temporary files, some of which a killed driver leaves behind.

    If a process outlives its cell, the directory stays, so that the ledger keeps the cell's entry.
    Raises `BrowserLost` when it can't be made.
    """
    try:
        scratch = await finish_in_thread(Work.LEDGER, _make_scratch, wanted, within_s=START_S)
    except (OSError, trio.TooSlowError) as exc:
        raise BrowserLost(NO_START, detail=str(exc) or repr(exc)) from exc
    in_use = False
    try:
        yield scratch
    except NotEnded:
        in_use = True
        raise
    finally:
        if not in_use:
            await _discard(Path(scratch))


async def _discard(scratch: Path) -> None:
    """Remove temporary files; if some stay, so does the ledger entry that lists them."""
    try:
        await remove_in_time(scratch)
    except CloneFailed as exc:
        _log.error("temporary files could not be removed", detail=exc.detail)


def _make_scratch(wanted: Path | None) -> str:
    if wanted is not None:
        wanted.mkdir(mode=0o700)
    scratch = str(wanted) if wanted else tempfile.mkdtemp(prefix="greenroom-")
    try:
        make_places(scratch)
    except BaseException:
        remove_tree(Path(scratch))
        raise
    return scratch
