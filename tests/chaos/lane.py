"""A daemon with bystanders: sessions that must stay undisturbed while another session is struck."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.chaos.daemon import Counts, Daemon, open_daemon
from tests.chaos.stage import Page, Stage, open_stage
from tests.chaos.victims import HOST_PARTS, Process, Victim, find, host_of
from tests.chaos.world import CREATION_S, Base, Trouble
from tests.real.conftest import fingerprint

LIVE, LOST = "live", "browser_lost"
# How many sessions a host of the matrix takes. The other sessions fill one host, so the next host has room
# for exactly the second session and the one under test.
PLACES = 2
_TRIES = 3
_OWN = (Victim.HOST, Victim.DRIVER, Victim.BROWSER)


@attrs.define(eq=False, kw_only=True)
class Bystander:
    """A live session that is left alone. `marker` is its marker, `host` its host's."""

    daemon: Daemon
    id: str
    marker: str
    host: str
    _pids: list[int | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pids = self._pids_now()

    def state(self) -> str:
        """Return its state, or why it ended. `LIVE` means that host, driver and browser are unchanged."""
        session = self.daemon.session(self.id)
        if session["state"] == LIVE and self._pids_now() != self._pids:
            return "live, with other processes"
        return str(session["end_reason"] if session["state"] == "ended" else session["state"])

    def find(self, victim: Victim) -> Process | None:
        """Return a process of the session or of its host."""
        return find(victim, self.host if victim in HOST_PARTS else self.marker)

    def left(self) -> Counts:
        """Count what exists of the session and of its host."""
        return self.daemon.left(self.marker, self.host)

    def _pids_now(self) -> list[int | None]:
        return [process.pid if (process := self.find(kind)) else None for kind in _OWN]


@attrs.define(eq=False, kw_only=True)
class Lane:
    """A daemon, its stage, and live sessions beside the one under test.

    The `second` session shares a host with the one under test, the `others` are in another host. Some lanes
    have neither.
    """

    base: Base
    sandbox: str
    daemon: Daemon
    stage: Stage
    master: Path
    second: Bystander | None = None
    others: list[Bystander] = attrs.field(factory=list)
    master_hash: str = ""

    def fill_a_host(self) -> None:
        """Start as many other sessions as fit into a host."""
        self.others = [self._start_session() for _ in range(PLACES)]
        if len({other.host for other in self.others}) > 1:
            raise Trouble("the other sessions are not in one host")

    def start_second(self) -> Bystander:
        """Start the second session, unless it is already live."""
        if self.second is None or self.second.state() != LIVE:
            self.second = self._start_session()
            if self.second.host in {other.host for other in self.others}:
                raise Trouble("the second session is in the others' host")
        return self.second

    def second_state(self) -> str:
        """Return the second session's state; `LIVE` if all is well."""
        return "-" if self.second is None else self.second.state()

    def others_state(self) -> str:
        """Return the other sessions' states; `LIVE` if all is well."""
        return ", ".join(sorted({other.state() for other in self.others})) or "-"

    def known(self) -> set[str]:
        """Return the markers of the live bystanders and of their hosts."""
        beside = [*self.others, *filter(None, [self.second])]
        live = [session for session in beside if session.state().startswith(LIVE)]
        return {marker for session in live for marker in (session.marker, session.host)}

    def take_hash(self) -> None:
        """Remember the master's current content."""
        self.master_hash = fingerprint(self.master)

    def master_state(self) -> str:
        """Return `same` if the master has not changed since `take_hash`."""
        return "same" if fingerprint(self.master) == self.master_hash else "CHANGED"

    def _start_session(self) -> Bystander:
        self.stage.show(Page.HOME)
        before = set(self.daemon.sessions())
        for _ in range(_TRIES):
            with self.base.launches:
                status, body = self.daemon.send("POST", "/tiktok/session").answer(CREATION_S + 10)
            if status == 200:
                (session_id,) = set(self.daemon.sessions()) - before
                marker = f"{self.daemon.owner()}.{session_id}"
                if (host := host_of(marker)) is None:
                    break
                return Bystander(daemon=self.daemon, id=session_id, marker=marker, host=host)
        raise Trouble(f"no session beside the one under test: {body}")


@contextlib.contextmanager
def open_lane(
    base: Base,
    sandbox: str,
    *,
    master: Path | None = None,
    clones_dir: Path | None = None,
    second: bool = True,
    others: bool = False,
    **settings: object,
) -> Iterator[Lane]:
    """Run a daemon with a stage and, if wanted, a live second session, and others in another host."""
    folder = Path(tempfile.mkdtemp(prefix="lane-", dir=base.folder))
    master = master or base.master
    if others:
        settings["sessions_per_host"] = PLACES
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
            if others:
                lane.fill_a_host()
            if second:
                lane.start_second()
            yield lane
    finally:
        shutil.rmtree(folder, ignore_errors=True)
