"""What this daemon owns, as seen on the machine: marked processes, and the directories in its folder."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import trio

from greenroom.actors.ledger import Ledger
from greenroom.actors.machine.ports import Owned, OwnedDirectory, OwnedProcess
from greenroom.actors.machine.sampler import Sampler
from greenroom.actors.resources import disk_usage
from greenroom.actors.threads import Work, in_thread

_SURVEY_S = 20.0


async def survey(ledger: Ledger, sampler: Sampler) -> Owned:
    """List the daemon's processes and what is in its directory. Doesn't fill in `hosts`.

    Raises `trio.TooSlowError` if the disk does not answer within 20 s, and `ScanFailed` if the processes
    can't be seen.
    """
    with trio.fail_after(_SURVEY_S):
        return await in_thread(Work.SURVEY, _survey, ledger, await sampler.look())


def _survey(ledger: Ledger, pids_by_marker: Mapping[str, Sequence[int]]) -> Owned:
    return Owned(
        processes=tuple(_processes(f"{ledger.owner}.", pids_by_marker)),
        directories=tuple(_directories(ledger)),
        entries=tuple(entry.session for entry in ledger.entries),
    )


def _processes(prefix: str, pids_by_marker: Mapping[str, Sequence[int]]) -> Iterator[OwnedProcess]:
    for marker, pids in pids_by_marker.items():
        for pid in pids if marker.startswith(prefix) else ():
            with contextlib.suppress(psutil.Error):
                name = psutil.Process(pid).name()
                yield OwnedProcess(pid=pid, name=name, session=marker.removeprefix(prefix))


def _directories(ledger: Ledger) -> Iterator[OwnedDirectory]:
    for path in ledger.session_directories():
        session = path.name.removesuffix(".tmp")
        yield OwnedDirectory(name=path.name, session=session, bytes=_size(path))


def _size(path: Path) -> int:
    try:
        return disk_usage(path)
    except OSError:  # it has just been removed
        return 0
