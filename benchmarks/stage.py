"""What measurements with a browser need: a practice site, a logged-in profile, a daemon, a baseline."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import httpx

from benchmarks.processes import Program, running

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
_COMMAND_S = 120.0
_READY_S = 60.0
_POLL_S = 0.05


@attrs.frozen(kw_only=True)
class Stage:
    """The practice site's address, the logged-in master profile, and a scratch directory."""

    url: str
    master: Path
    folder: Path

    @contextlib.contextmanager
    def open_daemon(self, *, warm: int, engine: str = "auto") -> Iterator["Daemon"]:
        """Run `greenroom serve` with `warm` warm sessions for the length of the block."""
        clones = tempfile.mkdtemp(prefix="greenroom-", dir=self.folder)
        environ = {
            "GREENROOM_BIND": "127.0.0.1:0",
            "GREENROOM_TIKTOK_URL": self.url,
            "GREENROOM_USER_DATA_MASTER_DIR": str(self.master),
            "GREENROOM_CLONES_DIR": clones,
            "GREENROOM_ENGINE": engine,
            "GREENROOM_MAX_SESSIONS": "20",
            "GREENROOM_WARM_SESSIONS": str(warm),
            "XDG_STATE_HOME": f"{clones}-state",
        }
        with running([GREENROOM, "serve"], environ) as program:
            line = ""
            while not line.startswith("address"):
                line = program.read_line()
            with httpx.Client(base_url=line.split()[-1], timeout=_COMMAND_S) as http:
                yield Daemon(program, http)

    @contextlib.contextmanager
    def open_peer(self, name: str = "scrapling", *, engine: str = "auto") -> Iterator["Peer"]:
        """Run a baseline's process for the length of the block."""
        clones = tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder)
        command = [sys.executable, "-m", "benchmarks.runner", name, "--engine", engine, "--url", self.url]
        with running([*command, "--profile", str(self.master), "--clones", clones]) as program:
            program.read_line()
            yield Peer(program)


@attrs.frozen
class Daemon:
    """A running daemon and an HTTP client for it."""

    program: Program
    http: httpx.Client

    def create(self) -> tuple[float, str]:
        """Create a session; return the seconds from POST to 200, and its location."""
        started = time.perf_counter()
        answer = self.http.post("/tiktok/session", json={})
        took = time.perf_counter() - started
        answer.raise_for_status()
        return took, answer.headers["location"]

    def end(self, location: str) -> None:
        """End a session. Returns once nothing of it is left."""
        self.http.delete(location).raise_for_status()

    def wait_warm(self, count: int) -> None:
        """Wait until that many warm sessions are ready."""
        give_up = time.monotonic() + _READY_S
        while (warm := self.http.get("/tiktok/session").json()["warm"]) < count:
            if time.monotonic() > give_up:
                raise RuntimeError(f"{warm} of {count} warm sessions after {_READY_S:g} s")
            time.sleep(_POLL_S)


@attrs.frozen
class Peer:
    """A running baseline."""

    program: Program

    def start(self, count: int = 1) -> list[float | None]:
        """Make sessions, all at once; return the seconds until each had its page, None if it failed."""
        seconds: list[float | None] = json.loads(self.program.ask(f"start {count}"))
        return seconds

    def end(self) -> None:
        """End all sessions and the open browser. Returns once they are gone."""
        self.program.ask("end")

    def bind(self) -> str:
        """Return the endpoint of a browser that stays open, for Playwright's `connect`."""
        endpoint: str = json.loads(self.program.ask("bind"))
        return endpoint

    def visit(self) -> float:
        """Time a `goto` and a `content` on a browser that stays open; return the seconds."""
        return float(self.program.ask("visit"))


@contextlib.contextmanager
def open_stage() -> Iterator[Stage]:
    """Run a practice site in its own process, and log in to it on a new master profile."""
    with (
        tempfile.TemporaryDirectory(prefix="greenroom-bench-", ignore_cleanup_errors=True) as folder,
        running([GREENROOM, "practice", "--bind", "127.0.0.1:0"]) as site,
    ):
        url = site.read_line().split()[-1]
        master = Path(folder, "master")
        login = [
            GREENROOM,
            "login",
            "--headless",
            "--url",
            f"{url}login?as=maker",
            "--user-data-dir",
            str(master),
        ]
        environ = {**os.environ, "GREENROOM_CLONES_DIR": str(Path(folder, "login"))}
        subprocess.run(login, check=True, capture_output=True, timeout=_COMMAND_S, env=environ)
        yield Stage(url=url, master=master, folder=Path(folder))
