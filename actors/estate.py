"""What this daemon owns, seen on the machine itself: marked processes, and directories in its folder."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import psutil
import trio

from actors.ledger import Ledger
from actors.machine.sampler import Sampler
from actors.ports import Owned, OwnedDirectory, OwnedProcess
from actors.resources import disk_usage
from actors.threads import Purpose, in_thread

_SURVEY_S = 20.0


@attrs.frozen
class RealEstate:
    """Surveys what a ledger's daemon owns, with the hosts that it means to have. Satisfies `ports.Estate`."""

    _ledger: Ledger
    _hosts: Callable[[], frozenset[str]] = frozenset
    _sampler: Sampler = attrs.field(factory=Sampler)

    async def survey(self) -> Owned:
        """Look at all processes and at the daemon's directory; see `ports.Estate`.

        Raises `trio.TooSlowError` when the disk does not answer within 20 s, `ScanFailed` when the processes
        can't be seen.
        """
        hosts = self._hosts()
        with trio.fail_after(_SURVEY_S):
            owned = await in_thread(Purpose.SURVEY, self._survey, await self._sampler.look())
        return attrs.evolve(owned, hosts=hosts | self._hosts())  # those that came or went meanwhile, too

    def _survey(self, pids_by_marker: Mapping[str, Sequence[int]]) -> Owned:
        return Owned(
            processes=tuple(self._processes(pids_by_marker)),
            directories=tuple(self._directories()),
            entries=tuple(entry.session for entry in self._ledger.entries),
        )

    def _processes(self, pids_by_marker: Mapping[str, Sequence[int]]) -> Iterator[OwnedProcess]:
        owner = f"{self._ledger.owner}."
        for marker, pids in pids_by_marker.items():
            for pid in pids if marker.startswith(owner) else ():
                with contextlib.suppress(psutil.Error):
                    name = psutil.Process(pid).name()
                    yield OwnedProcess(pid=pid, name=name, session=marker.removeprefix(owner))

    def _directories(self) -> Iterator[OwnedDirectory]:
        for path in self._ledger.session_directories():
            session = path.name.removesuffix(".tmp")
            yield OwnedDirectory(name=path.name, session=session, bytes=_size(path))


def _size(path: Path) -> int:
    try:
        return disk_usage(path)
    except OSError:  # it has just been removed
        return 0
