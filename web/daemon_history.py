"""Where the daemon's history of ended sessions is, and whether there is one."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import attrs
import structlog

from greenroom.supervisor.history import History, open_history
from greenroom.supervisor.places import NoPlace, state_dir
from greenroom.web.settings import DaemonSettings

_NAME: Final = "history.sqlite3"

_log = structlog.get_logger("greenroom.history")


def history_path() -> Path:
    """Return the file that all daemons of this user share. Raises `NoPlace`."""
    return state_dir() / _NAME


def hiding_history(settings: DaemonSettings) -> DaemonSettings:
    """Return settings with which no browser can see the history, wherever it is."""
    try:
        folder = history_path().parent
    except NoPlace:
        return settings
    return attrs.evolve(settings, private_paths=(*settings.private_paths, folder))


@contextlib.asynccontextmanager
async def open_history_of(settings: DaemonSettings) -> AsyncIterator[History | None]:
    """Open the history for the length of the block; it is None if none is wanted, or it has no place."""
    path = _find_path() if settings.history_days else None
    if path is None:
        yield None
        return
    async with open_history(path, days=settings.history_days) as history:
        yield history


def _find_path() -> Path | None:
    try:
        return history_path()
    except NoPlace as exc:
        _log.warning("the daemon runs without a history: set XDG_STATE_HOME", problem=str(exc))
        return None
