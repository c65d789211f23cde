"""After any sequence of daemons' steps, with crashes and torn writes, nothing is owned in the end."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from structlog.testing import capture_logs

from greenroom.actors.ledger import Entry, Ledger, sweep
from greenroom.actors.ledger import ledger as module
from tests.actors.ledger.daemons import sleeping
from tests.actors.portal import Portal
from tests.actors.profile.profile_trees import snapshot
from tests.patience import patience

SESSIONS = st.sampled_from(["a", "b"])


@attrs.define(eq=False)
class Session:
    """A session of a daemon; it is held, or has ended and left something, and may then be held again."""

    entry: Entry
    hold: AbstractAsyncContextManager[Entry] | None
    processes: list["subprocess.Popen[bytes]"] = attrs.field(factory=list)
    torn: bool = False


@attrs.define(eq=False)
class Daemon:
    """A daemon's ledger, its lock, and its sessions."""

    ledger: Ledger
    sessions: dict[str, Session] = attrs.field(factory=dict)
    alive: bool = True

    def entry_file(self, session: str) -> Path:
        return self.ledger.folder / "ledger" / f"{session}.json"


class LedgerMachine(RuleBasedStateMachine):
    """Daemons on one clones directory, with a bystander of each kind that must never be touched."""

    daemons = Bundle("daemons")
    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.known: list[Daemon] = []
        self.orphans: list[subprocess.Popen[bytes]] = []
        self.killed: set[str] = set()
        self.open = contextlib.ExitStack()
        self.open.enter_context(capture_logs())
        self.clones_dir = Path(self.open.enter_context(tempfile.TemporaryDirectory())) / "state"
        self.portal = self.open.enter_context(Portal())
        self.living = self.new_daemon()
        self.bystander = self.open.enter_context(sleeping("user.a"))
        self.start_session(self.living, "a")
        foreign = self.clones_dir / "profile"
        foreign.mkdir()
        (foreign / "prefs.js").write_text("mine")
        self.foreign = {path: snapshot(path) for path in (foreign, self.living.ledger.folder)}

    def kill_marked(self, markers: Collection[str]) -> dict[str, list[int]]:
        """Stand in for the sweep of the whole machine."""
        self.killed.update(markers)
        return {}

    def start_session(self, daemon: Daemon, name: str) -> None:
        if name in daemon.sessions and daemon.sessions[name].hold:
            return
        hold = daemon.ledger.hold(name)
        entry = self.portal.run(hold.__aenter__)
        if name in daemon.sessions:
            daemon.sessions[name].hold = hold
        else:
            daemon.sessions[name] = Session(entry, hold)
        assert daemon.entry_file(name).is_file()
        for directory in (entry.clone, entry.scratch):
            Path(directory).mkdir(exist_ok=True)

    def new_daemon(self) -> Daemon:
        return Daemon(module._begin(self.clones_dir, self.kill_marked))

    @initialize(target=daemons)
    def begin_busy(self) -> Daemon:
        """Start with a daemon that already owns something."""
        daemon = self.begin_another()
        for name in ("a", "b"):
            self.start_session(daemon, name)
            self.start_process(daemon, name)
        return daemon

    @initialize(target=sessions, daemon=daemons, name=SESSIONS)
    def hold_first(self, daemon: Daemon, name: str) -> object:
        """Have one of its sessions at hand."""
        return daemon, name

    @rule(target=daemons)
    def begin(self) -> Daemon:
        """Start a daemon, which sweeps what dead ones left."""
        return self.begin_another()

    def begin_another(self) -> Daemon:
        daemon = self.new_daemon()
        self.known.append(daemon)
        return daemon

    @rule(target=sessions, daemon=daemons, name=SESSIONS)
    def hold(self, daemon: Daemon, name: str) -> object:
        """Begin a session, unless it is held already."""
        if not daemon.alive:
            return multiple()
        self.start_session(daemon, name)
        return daemon, name

    @rule(target=sessions, held=sessions)
    def hold_again(self, held: tuple[Daemon, str]) -> object:
        """Hold a session again that has perhaps left something."""
        daemon, name = held
        if not daemon.alive:
            return multiple()
        self.start_session(daemon, name)
        return held

    @rule(held=sessions)
    def add_process(self, held: tuple[Daemon, str]) -> None:
        """Start a process for a session."""
        daemon, name = held
        if daemon.alive and name in daemon.sessions and daemon.sessions[name].hold:
            self.start_process(daemon, name)

    def start_process(self, daemon: Daemon, name: str) -> None:
        process = subprocess.Popen(["sleep", "600"])
        self.orphans.append(process)
        self.portal.run(daemon.ledger.add_processes, name, [process.pid])
        session = daemon.sessions[name]
        session.processes.append(process)
        session.torn = False

    @rule(held=sessions, removed=st.sampled_from(["both", "both", "clone", "scratch", "none"]))
    def release(self, held: tuple[Daemon, str], removed: str) -> None:
        """End a session: its holder ends its processes, and removes what it can."""
        daemon, name = held
        self.end_hold(daemon, name, removed)

    def end_hold(self, daemon: Daemon, name: str, removed: str) -> None:
        session = daemon.sessions.get(name)
        if not daemon.alive or session is None or session.hold is None:
            return
        for process in session.processes:
            process.kill()
        session.processes.clear()
        for directory in ("clone", "scratch"):
            if removed in {directory, "both"}:
                shutil.rmtree(getattr(session.entry, directory), ignore_errors=True)
        self.portal.run(session.hold.__aexit__, None, None, None)
        session.hold = None
        if removed == "both":
            assert not daemon.entry_file(name).exists()
            del daemon.sessions[name]

    @rule(held=sessions, size=st.integers(0, 120))
    def tear(self, held: tuple[Daemon, str], size: int) -> None:
        """Truncate an entry, as a disk that loses power may."""
        daemon, name = held
        path = daemon.entry_file(name)
        if path.is_file() and name in daemon.sessions:
            path.write_bytes(path.read_bytes()[:size])
            daemon.sessions[name].torn = True

    @rule(daemon=consumes(daemons), part=st.booleans())
    def crash(self, daemon: Daemon, part: bool) -> None:
        """Kill a daemon, possibly during a write: its lock is free, and its memory is lost."""
        if daemon.alive and part:
            daemon.entry_file("a").with_suffix(".part").write_bytes(b'{"sess')
        self.crash_if_alive(daemon)

    @rule(daemon=consumes(daemons))
    def finish(self, daemon: Daemon) -> None:
        """End a daemon in good order, provided that its sessions have ended."""
        if daemon.alive:
            for name in list(daemon.sessions):
                self.end_hold(daemon, name, "both")
            daemon.alive = False
            module._finish(daemon.ledger)

    @rule()
    def sweep(self) -> None:
        """Sweep at any time; only dead daemons' things go."""
        sweep(self.clones_dir, self.kill_marked)
        for daemon in self.known:
            assert daemon.ledger.folder.is_dir() == daemon.alive

    @invariant()
    def the_living_keep_what_they_have(self) -> None:
        """Every directory of a living daemon has an entry, and every held session has its directories."""
        for daemon in self.known:
            if daemon.alive:
                listed = {path.stem for path in (daemon.ledger.folder / "ledger").glob("*.json")}
                directories = daemon.ledger.session_directories()
                assert {path.name.removesuffix(".tmp") for path in directories} <= listed
                for session in daemon.sessions.values():
                    if session.hold:
                        assert Path(session.entry.clone).is_dir()
                        assert all(process.poll() is None for process in session.processes)
                        assert session.entry.marker not in self.killed

    @invariant()
    def bystanders_are_not_touched(self) -> None:
        """Another daemon, and somebody else's directory and process, are as they were."""
        assert {path: snapshot(path) for path in self.foreign} == self.foreign
        assert self.bystander.poll() is None
        assert not any(marker.startswith(("user.", f"{self.living.ledger.owner}.")) for marker in self.killed)

    def teardown(self) -> None:
        """Kill all daemons; a last sweep leaves nothing but the bystanders."""
        try:
            for daemon in self.known:
                self.crash_if_alive(daemon)
            sweep(self.clones_dir, self.kill_marked)
            self.bystanders_are_not_touched()
            assert set(self.clones_dir.iterdir()) == set(self.foreign)
            for session in self.all_sessions():
                if not session.torn:
                    assert [process.wait(patience(5)) for process in session.processes] == [-9] * len(
                        session.processes
                    )
        finally:
            for process in self.orphans:
                process.kill()
                process.wait()
            self.living.ledger._lock.release()
            self.open.close()

    def crash_if_alive(self, daemon: Daemon) -> None:
        if daemon.alive:
            daemon.alive = False
            daemon.ledger._lock.release()

    def all_sessions(self) -> Iterator[Session]:
        for daemon in self.known:
            yield from daemon.sessions.values()


LedgerMachine.TestCase.settings = settings(max_examples=settings().max_examples // 3, stateful_step_count=15)
TestLedger = LedgerMachine.TestCase
