"""The processes of sessions and hosts on this machine, and their use. One scan of /proc serves all callers.

A scan costs the same for one session as for all. With a scan for each session, the cost of sampling them, or
of ending many at once, would grow with the square of their number.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

import attrs
import structlog
import trio

from greenroom.actors.browser.cells import marks
from greenroom.actors.bulkhead import report
from greenroom.actors.resources import Usage, measure
from greenroom.actors.threads import Work, in_thread, limiter

SAMPLE_AGE_S: Final = 2.0
"""The maximum age of a scan for samples, in seconds. Samples cause at most one scan in this time."""

# Reading /proc waits for a process that is changing its memory map, and that may be waiting for a dead disk.
_SCAN_S = 5.0

_log = structlog.get_logger("greenroom.sampler")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ScanFailed(OSError):
    """The machine's processes can't be seen. The sampler has logged it, once for all callers."""


@attrs.frozen(kw_only=True)
class _Scan:
    """The sampler's `number`th scan of /proc: the pids that it found, by marker, or an error."""

    number: int
    begun: float
    found: Mapping[str, Sequence[int]] = attrs.field(factory=dict)
    error: Exception | None = None


@attrs.define(eq=False, repr=False)
class Sampler:
    """Finds, measures and ends the processes that carry a marker. There should be one per machine.

    It only scans on request, and runs one scan at a time. A caller that needs a fresh scan waits for the next
    one to begin and shares it with everybody who came meanwhile. A scan runs in one caller's task; if that
    caller is cancelled, the next in line scans.
    """

    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _begun: int = attrs.field(default=0, init=False)
    _last: _Scan = attrs.field(factory=lambda: _Scan(number=0, begun=-math.inf), init=False)
    _is_failing: bool = attrs.field(default=False, init=False)

    async def look(self, *, max_age_s: float = 0) -> Mapping[str, Sequence[int]]:
        """Return the pids of marked processes, by marker, from a scan that began after this call.

        A scan that began less than `max_age_s` before will do too. Raises `ScanFailed` if the scan failed or
        took more than 5 s.
        """
        begun_before, called = self._begun, trio.current_time()
        async with self._turn:
            if self._last.number <= begun_before and self._last.begun <= called - max_age_s:
                self._last = await self._scan()
            last = self._last
        if last.error is not None:
            raise ScanFailed(str(last.error) or repr(last.error)) from last.error
        return last.found

    async def pids(self, marker: str) -> Sequence[int]:
        """Return the processes that carry `marker` now. Raises `ScanFailed`."""
        return (await self.look()).get(marker, ())

    async def measure(self, marker: str, directories: Iterable[Path]) -> Usage:
        """Return what these directories use now, and the processes that a scan of the last 2 s found.

        Processes that started since then may be missing. Processes that no longer carry the marker are not
        counted. The memory of other processes is not read. Raises `ScanFailed`.
        """
        pids = (await self.look(max_age_s=SAMPLE_AGE_S)).get(marker, ())

        def measure_marked() -> Usage:
            return measure([pid for pid in pids if marks.is_marked(pid, marker)], directories)

        return await in_thread(Work.SAMPLING, measure_marked)

    async def kill(self, marker: str) -> int:
        """Kill the processes with `marker` that a fresh scan finds; return how many there were.

        Returns 1 if the processes can't be seen, since some may be left.
        """
        try:
            victims = marks.killable(await self.pids(marker))
        except ScanFailed:
            return 1
        if victims:
            await _finish(marks.kill, victims, marker)
        return len(victims)

    async def sweep(self, marker: str) -> None:
        """Kill processes with `marker` until three fresh scans in a row have found none."""
        empty = 0
        while True:
            empty = 0 if await self.kill(marker) else empty + 1
            if empty == marks.EMPTY_SWEEPS:
                return
            await trio.sleep(marks.SWEEP_INTERVAL_S)

    async def end(self, marker: str) -> Sequence[int]:
        """Kill the processes with `marker` until none is left, or for 5 s.

        Returns the pids that are left: see `marks.end_marked`.
        """
        with trio.move_on_after(marks.REAP_S):
            await self.sweep(marker)
            return []
        return await self.survivors(marker)

    async def survivors(self, marker: str) -> Sequence[int]:
        """Return the pids of the processes left with `marker`; 0 stands for them if they can't be seen."""
        try:
            return marks.killable(await self.pids(marker))
        except ScanFailed:
            return [0]

    async def _scan(self) -> _Scan:
        self._begun += 1
        number, begun = self._begun, trio.current_time()
        try:
            with trio.fail_after(_SCAN_S):
                found = await _scan_in_thread()
        except Exception as exc:  # no error ends a session: samples are just missing
            if not self._is_failing:
                report(_log.error, "processes can't be seen", detail=repr(exc))
            self._is_failing = True
            return _Scan(number=number, begun=begun, error=exc)
        self._is_failing = False
        return _Scan(number=number, begun=begun, found=found)


async def _scan_in_thread() -> Mapping[str, Sequence[int]]:
    try:
        return await in_thread(Work.SCANNING, marks.scan)
    except RuntimeError:  # no thread can be started; ending processes matters more than a responsive loop
        return marks.scan()


async def _finish(function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Return the result of `function`, which ends processes, run in a thread, cancelled or not."""
    try:
        return await trio.to_thread.run_sync(function, *args, limiter=limiter(Work.ENDING))
    except RuntimeError:
        return function(*args)
