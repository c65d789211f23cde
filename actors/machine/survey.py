"""What this daemon owns, seen on the machine itself: marked processes, and directories in its folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import trio

from actors.browser import marked_processes
from actors.ledger import Ledger
from actors.machine.ports import Owned, OwnedDirectory, OwnedProcess
from actors.resources import disk_usage
from actors.threads import Purpose, in_thread

_SURVEY_S = 20.0


async def survey(ledger: Ledger) -> Owned:
    """Look at all processes, and at the directory of the ledger's daemon. Leaves `hosts` out.

    Raises `trio.TooSlowError` when the disk does not answer within 20 s.
    """
    with trio.fail_after(_SURVEY_S):
        return await in_thread(Purpose.SURVEY, _survey, ledger)


def _survey(ledger: Ledger) -> Owned:
    return Owned(
        processes=tuple(_processes(f"{ledger.owner}.")),
        directories=tuple(_directories(ledger)),
        entries=tuple(entry.session for entry in ledger.entries),
    )


def _processes(prefix: str) -> Iterator[OwnedProcess]:
    for process, marker in marked_processes():
        if marker.startswith(prefix):
            with contextlib.suppress(psutil.Error):
                session = marker.removeprefix(prefix)
                yield OwnedProcess(pid=process.pid, name=process.name(), session=session)


def _directories(ledger: Ledger) -> Iterator[OwnedDirectory]:
    for path in ledger.session_directories():
        session = path.name.removesuffix(".tmp")
        yield OwnedDirectory(name=path.name, session=session, bytes=_size(path))


def _size(path: Path) -> int:
    try:
        return disk_usage(path)
    except OSError:  # it has just been removed
        return 0
