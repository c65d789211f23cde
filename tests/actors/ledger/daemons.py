"""Child processes that act as daemons: they open a ledger, own something, and are killed or left alone."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import psutil

from greenroom.actors.owner import MARKER

# Holds a session with both its directories, a process that the entry lists, and one that only has the marker.
_DAEMON = """
import json, os, subprocess, sys
from pathlib import Path
import trio
from greenroom.actors.ledger import open_ledger

def fail(marker):
    sys.exit(f"nothing is to be killed here: {marker}")

async def main():
    async with open_ledger(Path(sys.argv[1]), fail) as ledger, ledger.hold("a") as entry:
        for directory in (entry.clone, entry.scratch):
            Path(directory).mkdir()
            Path(directory, "file").write_text("data")
        marked = {**os.environ, "GREENROOM_CELL": entry.marker}
        start = lambda: subprocess.Popen(["sleep", "600"], env=marked, start_new_session=True).pid
        listed, unlisted = start(), start()
        await ledger.add_processes("a", [listed])
        print(json.dumps([str(ledger.folder), listed, unlisted]), flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@attrs.frozen(kw_only=True)
class Daemon:
    """A child process with a ledger, which owns session `a` with two processes."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    sleepers: tuple[psutil.Process, psutil.Process]

    def kill(self) -> None:
        """Kill the daemon, but nothing that it owns."""
        self.process.kill()
        self.process.wait()

    def running(self) -> list[bool]:
        """Return which of the daemon's two processes run."""
        return [is_running(sleeper) for sleeper in self.sleepers]


@contextlib.contextmanager
def open_daemon(clones_dir: Path) -> Iterator[Daemon]:
    """Run a daemon on `clones_dir`; after the block none of its processes runs."""
    process = subprocess.Popen([sys.executable, "-c", _DAEMON, str(clones_dir)], stdout=subprocess.PIPE)
    sleepers: list[psutil.Process] = []
    try:
        assert process.stdout is not None
        with process.stdout:
            folder, *pids = json.loads(process.stdout.readline())
        sleepers += [psutil.Process(pid) for pid in pids]
        listed, unlisted = sleepers
        yield Daemon(process=process, folder=Path(folder), sleepers=(listed, unlisted))
    finally:
        process.kill()
        process.wait()
        for sleeper in sleepers:
            with contextlib.suppress(psutil.NoSuchProcess):
                sleeper.kill()


@contextlib.contextmanager
def sleeping(marker: str | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process that this one owns, marked or not; it shows its marker from the first."""
    environ = {**os.environ, **({MARKER: marker} if marker else {})}
    process = subprocess.Popen(["sleep", "600"], env=environ)
    try:
        if marker:
            until_shows(process, marker)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def until_shows(process: "subprocess.Popen[bytes]", text: str) -> None:
    """Return once a process has `text` in its environment; it shows none while it execs."""
    while text.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes():
        assert process.poll() is None


def is_running(process: psutil.Process) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
