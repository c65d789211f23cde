"""What a trial needs: a practice site, a logged-in master profile, and daemons as processes of their own."""

import contextlib
import http.client
import json
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

from tests.chaos.stage import Stage, open_stage
from tests.chaos.victims import Victim, carrying, find, marked
from tests.real.conftest import GREENROOM, fingerprint

CREATION_S = 20.0
POLL_S = 0.03
_RUN = "CHAOS_RUN_OF_GREENROOM"
_HTTP_S = 30.0
_START_S = 40.0
_STOP_S = 25.0
_BALLAST_BYTES = 1 << 30


class Trouble(Exception):
    """A trial could not be carried out as planned."""


def wait_for(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Return the first true value of `condition`. Raises `Trouble` when none comes in time."""
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
        """Return a master that takes a while to clone; made when it is first asked for."""
        with self._large:
            folder = self.folder / "large"
            if not folder.exists():
                shutil.copytree(self.master, folder, symlinks=True)
                add_ballast(folder, _BALLAST_BYTES)
            return folder


def add_ballast(master: Path, size: int) -> None:
    """Make a master larger by `size` bytes."""
    block = os.urandom(1 << 20)
    with (master / "ballast.bin").open("wb") as file:
        for _ in range(size >> 20):
            file.write(block)


@contextlib.contextmanager
def open_base() -> Iterator[Base]:
    """Own a practice site and a master that is logged in to it; afterwards nothing of the run is left."""
    run = uuid.uuid4().hex
    folder = Path(tempfile.mkdtemp(prefix="greenroom-chaos-"))
    try:
        env = {**os.environ, _RUN: run}
        with _serving(
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
        for process in carrying(_RUN, run):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@attrs.define(eq=False)
class Request:
    """An HTTP request that was sent and whose answer nobody has read yet."""

    _connection: http.client.HTTPConnection

    def answer(self, within_s: float = _HTTP_S) -> tuple[int, dict[str, Any]]:
        """Return status and body. Raises `OSError` when none comes."""
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

    def send(self, method: str, path: str) -> Request:
        """Send a request and return without waiting for the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_HTTP_S)
        connection.request(method, path, headers={"Connection": "close"})
        return Request(connection)

    def get(self, path: str) -> dict[str, Any]:
        """Return the body of an answer."""
        return self.send("GET", path).answer()[1]

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Return the sessions that have not ended, by their ids."""
        return {session["id"]: session for session in self.get("/tiktok/session")["sessions"]}

    def session(self, session_id: str) -> dict[str, Any]:
        """Return a session."""
        found: dict[str, Any] = self.get(f"/tiktok/session/{session_id}")["session"]
        return found

    def leaked(self) -> int:
        """Return how many things the daemon itself reports as leaked."""
        leaked = self.get("/leaks")["leaked"]
        return len(leaked["processes"]) + len(leaked["directories"]) + len(leaked["entries"])

    def descriptors(self) -> int:
        """Return how many file descriptors the daemon has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def owner(self) -> str:
        """Return the name of the daemon's directory, with which its markers begin."""
        return next(path.parent.name for path in self.clones_dir.glob("*/owner.lock"))

    def entry(self, session_id: str) -> dict[str, Any] | None:
        """Return a session's ledger entry, if there is one."""
        for path in self.clones_dir.glob(f"*/ledger/{session_id}.json"):
            with contextlib.suppress(OSError):
                found: dict[str, Any] = json.loads(path.read_bytes())
                return found
        return None

    def entries(self, session_id: str = "*") -> int:
        """Count ledger entries, half-written ones included."""
        return len(list(self.clones_dir.glob(f"*/ledger/{session_id}.*")))

    def directories(self, session_id: str = "????????-????-") -> int:
        """Count sessions' directories, and whatever the daemon left where temporary files go."""
        return len(list(self.clones_dir.glob(f"*/{session_id}*"))) + len(list(self.scratch.iterdir()))


@attrs.define(eq=False, kw_only=True)
class Lane:
    """A daemon, its stage, and a second session that has to stay undisturbed (or none)."""

    base: Base
    sandbox: str
    daemon: Daemon
    stage: Stage
    master: Path
    second: str | None = None
    master_hash: str = ""
    _second_pids: set[int | None] = attrs.field(factory=set)

    def start_second(self) -> None:
        """Make the second session."""
        for _ in range(3):
            with self.base.launches:
                status, body = self.daemon.send("POST", "/tiktok/session").answer(CREATION_S + 10)
            if status == 200:
                (self.second,) = self.daemon.sessions()
                self._second_pids = self._pids_of_second()
                return
        raise Trouble(f"no second session: {body}")

    def second_state(self) -> str:
        """Return what has become of the second session: `live`, if all is well."""
        if self.second is None:
            return "-"
        state: str = self.daemon.session(self.second)["state"]
        if state == "live" and self._pids_of_second() != self._second_pids:
            return "live, with other processes"
        return state

    def take_hash(self) -> None:
        """Remember the master as it is."""
        self.master_hash = fingerprint(self.master)

    def master_state(self) -> str:
        """Return `same` if the master is as it was."""
        return "same" if fingerprint(self.master) == self.master_hash else "CHANGED"

    def _pids_of_second(self) -> set[int | None]:
        marker = f"{self.daemon.owner()}.{self.second}"
        kinds = (Victim.HOST, Victim.DRIVER, Victim.BROWSER)
        return {victim.pid if (victim := find(kind, marker)) else None for kind in kinds}


@contextlib.contextmanager
def open_lane(
    base: Base,
    sandbox: str,
    *,
    master: Path | None = None,
    clones_dir: Path | None = None,
    second: bool = True,
    **settings: object,
) -> Iterator[Lane]:
    """Run a daemon with a stage and, if wanted, a second session that is live."""
    folder = Path(tempfile.mkdtemp(prefix="lane-", dir=base.folder))
    master = master or base.master
    try:
        with (
            open_stage(base.site) as stage,
            open_daemon(
                base,
                folder,
                sandbox=sandbox,
                tiktok_url=stage.url,
                user_data_master_dir=str(master),
                clones_dir=str(clones_dir or folder / "clones"),
                **settings,
            ) as daemon,
        ):
            lane = Lane(base=base, sandbox=sandbox, daemon=daemon, stage=stage, master=master)
            lane.take_hash()
            if second:
                lane.start_second()
            yield lane
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def open_daemon(base: Base, folder: Path, **settings: object) -> Iterator[Daemon]:
    """Run `greenroom serve` with these settings for the length of the block, unless it is killed in it."""
    scratch = folder / f"tmp-{uuid.uuid4().hex[:6]}"
    scratch.mkdir()
    given = {
        "bind": "127.0.0.1:0",
        "engine": "firefox",
        "warm_sessions": 0,
        "session_creation_timeout": CREATION_S,
        "login_detection_timeout": 60,
        "login_detection_retries": 10,
        "max_session_duration": 3600,
        "session_memory_mb": 1536,
        "session_disk_mb": 300,
        "drain_grace": 0,
    } | settings
    config = folder / "greenroom.toml"
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in given.items()]
    config.write_text("[greenroom]\n" + "".join(lines))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")}
    env = inherited | {_RUN: base.run, "TMPDIR": str(scratch)}
    log = folder / "daemon.log"
    with _serving(["serve", "--config", str(config)], env, log, "address") as (process, said):
        yield Daemon(
            process=process,
            port=int(said["address"].rpartition(":")[2]),
            clones_dir=Path(str(given["clones_dir"])),
            scratch=scratch,
            log=log,
        )


@contextlib.contextmanager
def _serving(
    command: list[str], env: dict[str, str], log: Path, last: str
) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """Run a serving command; yield it with what it says at its start, up to the line `last`."""
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
    """End a process politely, else by force, and return its exit code."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        return process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(_STOP_S)


def left_of(daemon: Daemon, marker: str, session_id: str) -> tuple[int, int, int]:
    """Return how many processes, directories and ledger entries of a session there are."""
    return len(marked(marker)), daemon.directories(session_id), daemon.entries(session_id)
