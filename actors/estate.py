"""What this daemon owns, seen on the machine itself: marked processes, and directories in its folder."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import psutil
import trio

from actors.browser import marked_processes
from actors.ledger import Ledger
from actors.ports import Owned, OwnedDirectory, OwnedProcess
from actors.resources import disk_usage
from actors.threads import Purpose, in_thread

_SURVEY_S = 20.0


@attrs.frozen
class RealEstate:
    """Surveys what a ledger's daemon owns, with the hosts that it means to have. Satisfies `ports.Estate`."""

    _ledger: Ledger
    _hosts: Callable[[], frozenset[str]] = frozenset

    async def survey(self) -> Owned:
        """Look at all processes and at the daemon's directory; see `ports.Estate`.

        Raises `trio.TooSlowError` when the disk does not answer within 20 s.
        """
        hosts = self._hosts()
        with trio.fail_after(_SURVEY_S):
            owned = await in_thread(Purpose.SURVEY, self._survey)
        return attrs.evolve(owned, hosts=hosts | self._hosts())  # those that came or went meanwhile, too

    def _survey(self) -> Owned:
        return Owned(
            processes=tuple(self._processes()),
            directories=tuple(self._directories()),
            entries=tuple(entry.session for entry in self._ledger.entries),
        )

    def _processes(self) -> Iterator[OwnedProcess]:
        owner = f"{self._ledger.owner}."
        for process, marker in marked_processes():
            if marker.startswith(owner):
                with contextlib.suppress(psutil.Error):
                    session = marker.removeprefix(owner)
                    yield OwnedProcess(pid=process.pid, name=process.name(), session=session)

    def _directories(self) -> Iterator[OwnedDirectory]:
        for path in self._ledger.session_directories():
            session = path.name.removesuffix(".tmp")
            yield OwnedDirectory(name=path.name, session=session, bytes=_size(path))


def _size(path: Path) -> int:
    try:
        return disk_usage(path)
    except OSError:  # it has just been removed
        return 0
