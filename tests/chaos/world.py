"""What all daemons under test share: a practice site, and a master profile that is logged in to it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.chaos.victims import carrying
from tests.real.conftest import GREENROOM

CREATION_S = 20.0
POLL_S = 0.03
RUN = "CHAOS_RUN_OF_GREENROOM"
_START_S = 40.0
_STOP_S = 25.0
_BALLAST_BYTES = 1 << 30


class Trouble(Exception):
    """A trial could not be carried out as planned."""


def wait_for(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Return the first true value of `condition`. Raises `Trouble` if there is none in time."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Trouble(f"not within {within_s:g} s: {what}")
        time.sleep(POLL_S)
    return value


@attrs.frozen(kw_only=True)
class Base:
    """What all daemons share. `launches` bounds how many browsers start at once."""

    folder: Path
    site: str
    master: Path
    run: str
    launches: threading.Semaphore = attrs.field(
        factory=lambda: threading.Semaphore(max(1, (os.cpu_count() or 1)))
    )
    _large: threading.Lock = attrs.field(factory=threading.Lock)

    def large_master(self) -> Path:
        """Return a master that takes a while to clone. The first call makes it."""
        with self._large:
            folder = self.folder / "large"
            if not folder.exists():
                shutil.copytree(self.master, folder, symlinks=True)
                add_ballast(folder, _BALLAST_BYTES)
            return folder


@contextlib.contextmanager
def own_master(base: Base) -> Iterator[Path]:
    """Copy the master for the length of the block; what is made beside it goes, too."""
    folder = Path(tempfile.mkdtemp(prefix="master-", dir=base.folder))
    try:
        yield Path(shutil.copytree(base.master, folder / "master", symlinks=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def add_ballast(master: Path, size: int) -> None:
    """Make a master larger by `size` bytes."""
    block = os.urandom(1 << 20)
    with (master / "ballast.bin").open("wb") as file:
        for _ in range(size >> 20):
            file.write(block)


@contextlib.contextmanager
def open_base() -> Iterator[Base]:
    """Run a practice site and log a master in to it. At the end, everything of the run is removed."""
    run = uuid.uuid4().hex
    folder = Path(tempfile.mkdtemp(prefix="greenroom-chaos-"))
    try:
        env = {**os.environ, RUN: run}
        with serving(
            ["practice", "--bind", "127.0.0.1:0"], env, folder / "practice.log", "all its pages"
        ) as said:
            site = said[1]["practice site"].rstrip("/")
            master = folder / "master"
            login = ["login", "--headless", "--url", f"{site}/login?as=maker", "--user-data-dir", str(master)]
            done = subprocess.run(
                [*GREENROOM, *login], env=env, capture_output=True, text=True, check=False, timeout=90
            )
            if done.returncode:
                raise Trouble(f"login failed: {done.stderr}")
            yield Base(folder=folder, site=site, master=master, run=run)
    finally:
        hosts = carrying("TMPDIR", str(folder), prefix=True)  # hosts don't inherit RUN
        for process in [*carrying(RUN, run), *hosts]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def serving(
    command: list[str], env: dict[str, str], log: Path, last: str
) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """Run a serving command; yield its process and what it prints at its start, up to the line `last`."""
    with log.open("a") as errors:
        process = subprocess.Popen(
            [*GREENROOM, *command], stdout=subprocess.PIPE, stderr=errors, text=True, env=env
        )
    assert process.stdout is not None
    said: dict[str, str] = {}
    watchdog = threading.Timer(_START_S, process.kill)
    watchdog.start()
    try:
        with process.stdout:
            while last not in said:
                line = process.stdout.readline()
                if not line:
                    raise Trouble(f"greenroom {command[0]} ended: {log.read_text()[-500:]}")
                subject, value = re.split(r"  +", line.strip(), maxsplit=1)
                said[subject] = value
            watchdog.cancel()
            yield process, said
    finally:
        watchdog.cancel()
        watchdog.join()
        stop(process)


def stop(process: "subprocess.Popen[str]") -> int:
    """Terminate a process, kill it if it doesn't end, and return its exit code."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        return process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(_STOP_S)
