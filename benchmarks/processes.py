"""Runs a program and measures, from outside, what it and its descendants use."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import attrs
import psutil

from greenroom.actors.owner import MARKER as CELL

MARK: str = "BENCHMARK_RUN"
"""An environment variable that all processes of a measurement inherit, except browser hosts."""

_POLITE_S = 30.0
_GONE_S = 10.0
_POLL_S = 0.02
_CGROUPS = Path("/sys/fs/cgroup")
# Where the kernel keeps a control group's CPU time, and how many units make a second: version 1, then version
# 2, which may be the only one or mounted beside version 1.
_CPU_COUNTERS = (("cpuacct", "cpuacct.usage", 1e9), ("", "cpu.stat", 1e6), ("unified", "cpu.stat", 1e6))


@attrs.define(eq=False)
class Program:
    """A running program that reads questions from its standard input and prints answers, a line each."""

    process: "subprocess.Popen[str]"
    mark: str
    errors: IO[bytes]
    group: "CpuGroup | None" = None

    def read_line(self) -> str:
        """Return the next line that the program prints. Raises RuntimeError, with its stderr, if it ended."""
        assert self.process.stdout is not None  # noqa: S101  # it is started with a pipe
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            tail = self.errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{self.process.args!r} ended: {self.process.wait()}\n{tail}")
        return line.strip()

    def ask(self, question: str) -> str:
        """Send a line and return the line that answers it."""
        assert self.process.stdin is not None  # noqa: S101  # likewise
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.read_line()

    def cpu_s(self) -> float | None:
        """Return the CPU seconds, user and system, of the program and of everything that it ever started.

        None if this user can't make control groups. `getrusage` on waited-for children is no substitute.
        Processes that die with the init of a PID namespace are not added up (measured: it saw 0.2 of 4.7 s),
        and some of a bare browser's processes get another parent (3.1 of 4.2 s).
        """
        return None if self.group is None else self.group.cpu_s()

    def wait_alone(self, kept: Collection[int] = ()) -> None:
        """Wait until all processes that the program started are gone, except `kept`.

        Raises RuntimeError after 10 s.
        """
        give_up = time.monotonic() + _GONE_S
        while left := set(self.started()) - set(kept):
            if time.monotonic() > give_up:
                raise RuntimeError(f"processes left: {left}")
            time.sleep(_POLL_S)

    def started(self) -> list[int]:
        """Return the program's descendants, even if they have another parent by now."""
        return [pid for pid in marked(self.mark, self.process.pid) if pid != self.process.pid]

    def own_pss(self) -> int:
        """Return the program's own memory (PSS) in bytes."""
        return pss_bytes(self.process.pid)

    def started_pss(self) -> int:
        """Return the memory (PSS) of all descendants in bytes."""
        return sum(pss_bytes(pid) for pid in self.started())


@contextlib.contextmanager
def running(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run a program for the length of the block. Everything that it started ends with the block."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(environ or {}), MARK: mark},
        )
        program = Program(process, mark, errors)
        try:
            with _counted(process.pid, f"greenroom-{mark}") as program.group:
                try:
                    yield program
                finally:
                    _stop(process)
                    _kill(program.started())
                    program.wait_alone()
        finally:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_POLITE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def marked(mark: str, pid: int) -> list[int]:
    """Return the processes that carry the mark, except zombies, and the browser processes of program `pid`.

    Browsers don't inherit the mark. They are found as descendants of the program, or by the cell that they
    share with one.
    """
    wanted, cell = f"{MARK}={mark}".encode(), f"{CELL}=".encode()
    below = {pid}
    with contextlib.suppress(psutil.Error):
        below |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    carried = {}
    for other in psutil.pids():
        with contextlib.suppress(OSError):
            environ = Path(f"/proc/{other}/environ").read_bytes().split(b"\0")
            carried[other] = {setting for setting in environ if setting == wanted or setting.startswith(cell)}
    telling = {wanted}.union(*(carried.get(other, set()) for other in below))
    return [other for other, settings in carried.items() if settings & telling]


def pss_bytes(pid: int) -> int:
    """Return a process's memory (PSS) in bytes; 0 if the process is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0


@attrs.frozen
class CpuGroup:
    """A control group that counts the CPU time of the processes in it."""

    folder: Path
    counter: str
    per_s: float

    def cpu_s(self) -> float:
        """Return the CPU seconds used in the group so far."""
        text = (self.folder / self.counter).read_text()
        return int(text.removeprefix("usage_usec ").split()[0]) / self.per_s


@contextlib.contextmanager
def _counted(pid: int, name: str) -> Iterator[CpuGroup | None]:
    """Put a process, and everything that it will start, into a control group for the length of the block."""
    group = _make_group(name)
    if group is None:
        yield None
        return
    try:
        (group.folder / "cgroup.procs").write_text(str(pid))
        yield group
    finally:
        give_up = time.monotonic() + _GONE_S
        while group.folder.exists() and time.monotonic() < give_up:
            with contextlib.suppress(OSError):  # the last process is not reaped yet
                group.folder.rmdir()
            time.sleep(_POLL_S)


def _make_group(name: str) -> CpuGroup | None:
    for mounted, counter, per_s in _CPU_COUNTERS:
        for parent in _own_groups(mounted):
            folder = parent / name
            with contextlib.suppress(OSError):
                if (parent / "cgroup.procs").exists():
                    folder.mkdir()
                    if (folder / counter).exists():
                        return CpuGroup(folder, counter, per_s)
                    folder.rmdir()
    return None


def _own_groups(mounted: str) -> Iterator[Path]:
    """Yield where this process's own control group may be. In a container, it may be the mount itself."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if ("cpuacct" in controllers.split(",")) if mounted == "cpuacct" else not controllers:
            yield _CGROUPS / mounted / path.lstrip("/")
            yield _CGROUPS / mounted
