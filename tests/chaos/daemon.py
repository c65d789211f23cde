"""The daemon under test, as a separate process, and everything that it owns."""

import contextlib
import http.client
import json
import os
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.chaos.victims import is_host, marked
from tests.chaos.world import CREATION_S, RUN, Base, serving

_HTTP_S = 30.0

Counts = tuple[int, int, int]
"""Numbers of processes, directories and ledger entries."""


@attrs.define(eq=False)
class Request:
    """An HTTP request that was sent, with its answer still unread."""

    _connection: http.client.HTTPConnection

    def answer(self, within_s: float = _HTTP_S) -> tuple[int, dict[str, Any]]:
        """Return the status and body of the answer. Raises `OSError` if none comes."""
        with contextlib.closing(self._connection):
            if self._connection.sock is not None:
                self._connection.sock.settimeout(within_s)
            try:
                response = self._connection.getresponse()
                body = response.read()
            except http.client.HTTPException as exc:
                raise ConnectionError(repr(exc)) from exc
            return response.status, json.loads(body) if body else {}

    def hang_up(self) -> None:
        """Close the connection without reading the answer."""
        self._connection.close()


@attrs.define(eq=False, kw_only=True)
class Daemon:
    """A daemon under test."""

    process: "subprocess.Popen[str]"
    port: int
    clones_dir: Path
    scratch: Path
    log: Path

    def send(self, method: str, path: str, body: str | None = None, **headers: str) -> Request:
        """Send a request and return without waiting for the answer.

        Raises `ConnectionRefusedError`, with the end of the daemon's log, if it no longer listens.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_HTTP_S)
        try:
            connection.request(method, path, body, headers={"Connection": "close", **headers})
        except ConnectionRefusedError as exc:
            state = f"exit code {self.process.poll()}, port {self.port}"
            raise ConnectionRefusedError(f"{exc} ({state}): {self.log.read_text()[-500:]}") from exc
        return Request(connection)

    def get(self, path: str) -> dict[str, Any]:
        """GET a path and return the body."""
        return self.send("GET", path).answer()[1]

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Return the sessions that have not ended, by id."""
        return {session["id"]: session for session in self.get("/tiktok/session")["sessions"]}

    def session(self, session_id: str) -> dict[str, Any]:
        """Return the session with an id, which may have ended."""
        found: dict[str, Any] = self.get(f"/tiktok/session/{session_id}")["session"]
        return found

    def leaked(self) -> int:
        """Return how many leaks the daemon itself reports."""
        leaked = self.get("/leaks")["leaked"]
        return len(leaked["processes"]) + len(leaked["directories"]) + len(leaked["entries"])

    def descriptors(self) -> int:
        """Return how many file descriptors the daemon has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def owner(self) -> str:
        """Return the name of the daemon's directory. Its markers begin with this name."""
        return next(path.parent.name for path in self.clones_dir.glob("*/owner.lock"))

    def left(self, *markers: str) -> Counts:
        """Count what exists of these sessions and hosts, and everything in the scratch directory."""
        names = [_id(marker) for marker in markers]
        directories = [path for name in names for path in self.clones_dir.glob(f"*/{name}*")]
        entries = [path for name in names for path in self.clones_dir.glob(f"*/ledger/{name}.*")]
        processes = [process for marker in markers for process in marked(marker)]
        return len(processes), len(directories) + len(list(self.scratch.iterdir())), len(entries)

    def strays(self, *markers: str) -> Counts:
        """Count, as `left` does, what belongs to any other session or host, except one idle host.

        A daemon keeps one host ready without sessions.
        """
        processes = [process.mark for process in marked(f"{self.owner()}.", prefix=True)]
        directories = [path.name.removesuffix(".tmp") for path in self._directories()]
        entries = [path.stem for path in self.clones_dir.glob("*/ledger/*")]
        found = {_id(mark) for mark in processes}.union(directories, entries)
        known = {_id(marker) for marker in markers}
        known.update(sorted(name for name in found - known if is_host(name))[:1])
        return (
            len([mark for mark in processes if _id(mark) not in known]),
            len([name for name in directories if name not in known]) + len(list(self.scratch.iterdir())),
            len([name for name in entries if name not in known]),
        )

    def idle_host(self, *markers: str) -> str | None:
        """Return the marker of a running host that is not one of these."""
        marks = {process.mark for process in marked(f"{self.owner()}.", prefix=True)}
        return next((mark for mark in sorted(marks - set(markers)) if is_host(mark)), None)

    def _directories(self) -> Iterable[Path]:
        return (path for path in self.clones_dir.glob("*/*") if path.name not in {"owner.lock", "ledger"})


def _id(marker: str) -> str:
    return marker.rpartition(".")[2]


@contextlib.contextmanager
def open_daemon(base: Base, folder: Path, **settings: object) -> Iterator[Daemon]:
    """Run `greenroom serve` with these settings for the length of the block. The block may kill it."""
    scratch = folder / f"tmp-{uuid.uuid4().hex[:6]}"
    scratch.mkdir()
    given = {
        "bind": "127.0.0.1:0",
        "engine": "firefox",
        "warm_sessions": 0,
        "session_creation_timeout": CREATION_S,
        "login_detection_timeout": CREATION_S - 0.1,
        "login_detection_retries": 10,
        "max_session_duration": 3600,
        "session_memory_mb": 1536,
        "session_disk_mb": 300,
        "drain_grace": 0,
        "history_days": 0,
    } | settings
    config = folder / "greenroom.toml"
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in given.items()]
    config.write_text("[greenroom]\n" + "".join(lines))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")}
    env = inherited | {RUN: base.run, "TMPDIR": str(scratch)}
    log = folder / "daemon.log"
    with serving(["serve", "--config", str(config)], env, log, "address") as (process, said):
        yield Daemon(
            process=process,
            port=int(said["address"].rpartition(":")[2]),
            clones_dir=Path(str(given["clones_dir"])),
            scratch=scratch,
            log=log,
        )
