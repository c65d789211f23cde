"""Trials that strike the daemon itself."""

import signal
import time

from tests.chaos.daemon import open_daemon
from tests.chaos.lane import Lane, open_lane
from tests.chaos.matrix import Expected, Means, Moment, Strike
from tests.chaos.trial import Result, attempt, check, observe, subject_at
from tests.chaos.victims import marked
from tests.chaos.world import CREATION_S, POLL_S, Base

_PAUSE_S = 3.0
_GONE_S = 5.0


def strike_daemon(base: Base, sandbox: str, cell: Strike) -> Result:
    """Carry out a cell that strikes the daemon itself, in a lane of its own."""
    cloning = cell.moment is Moment.CLONING
    master = base.large_master() if cloning else base.master
    with open_lane(base, sandbox, master=master, second=False, session_disk_mb=4096) as lane:
        if cell.means is Means.KILL:
            return attempt(lane, cell, lambda result: _kill_daemon(lane, cell.moment, sandbox, result))
        return attempt(lane, cell, lambda result: _pause_daemon(lane, cell.moment, result))


def _pause_daemon(lane: Lane, moment: Moment, result: Result) -> None:
    with subject_at(lane, moment) as subject:
        lane.daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(_PAUSE_S)
        lane.daemon.process.send_signal(signal.SIGCONT)
        observe(subject, _expected_of_pause(moment), time.monotonic(), result)
    check(subject, result)


def _expected_of_pause(moment: Moment) -> Expected:
    if moment in {Moment.NAVIGATING, Moment.JUDGING}:
        return Expected(reasons=frozenset({"creation_timeout"}), within_s=CREATION_S + 3)
    # The pause may use up a creation's time.
    reasons = {"deleted"} | ({"creation_timeout"} if moment in {Moment.CLONING, Moment.LAUNCHING} else set())
    return Expected(reasons=frozenset(reasons), within_s=CREATION_S, may_live_on=moment is not Moment.ENDING)


def _kill_daemon(lane: Lane, moment: Moment, sandbox: str, result: Result) -> None:
    with subject_at(lane, moment):
        killed = kill_and_count(lane, result)
    result.end = "-"
    result.seconds = killed
    sweep_after(lane, sandbox, result)


def kill_and_count(lane: Lane, result: Result) -> float:
    """Kill the daemon; return the seconds until all processes of its hosts and sessions are gone."""
    owner = f"{lane.daemon.owner()}."
    lane.daemon.process.kill()
    since = time.monotonic()
    while (left := len(marked(owner, prefix=True))) and time.monotonic() < since + _GONE_S:
        time.sleep(POLL_S)
    result.processes = left
    result.expect(left == 0, f"{left} processes are left after {_GONE_S:g} s")
    lane.daemon.process.wait(_GONE_S)
    return time.monotonic() - since


def sweep_after(lane: Lane, sandbox: str, result: Result) -> None:
    """Start and stop another daemon on the dead one's directory, and count what is left."""
    folder = lane.daemon.log.parent
    before = {path.name for path in lane.daemon.clones_dir.iterdir()}
    with open_daemon(
        lane.base,
        folder,
        sandbox=sandbox,
        tiktok_url=lane.stage.url,
        user_data_master_dir=str(lane.master),
        clones_dir=str(lane.daemon.clones_dir),
    ) as daemon:
        owners = {path.name for path in daemon.clones_dir.iterdir()}
        processes, directories, result.entries = daemon.strays()
        result.directories = len(owners & before) + directories
        result.expect(daemon.leaked() == 0, "/leaks is not empty")
        owner = daemon.owner()
    result.processes += processes + len(marked(f"{owner}.", prefix=True))
    result.directories += len(list(lane.daemon.clones_dir.iterdir()))
    result.master = lane.master_state()
    result.expect(result.processes == 0, f"{result.processes} processes are left")
    result.expect(result.directories == 0, f"{result.directories} directories are left")
    result.expect(result.entries == 0, f"{result.entries} ledger entries are left")
    result.expect(result.master == "same", "the master changed")
