"""Single cases about sessions that write the profile: struck while they live, and while they commit."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from greenroom.actors.profile.generations import KEPT, current, history_folder, prune
from tests.chaos.daemon_trials import kill_and_count, sweep_after
from tests.chaos.lane import LOST, Lane, open_lane
from tests.chaos.matrix import CLOSE_S, NOTICE_S, Expected, Moment
from tests.chaos.trial import Result, Subject, check, observe, subject_at
from tests.chaos.victims import Victim
from tests.chaos.world import Base, Trouble, add_ballast, own_master, wait_for
from tests.patience import patience

# Large enough for a commit to take a while, and how long it may take on a busy machine.
_BALLAST_BYTES = 400 << 20
_COMMIT_S = patience(10.0)


@contextlib.contextmanager
def _writer(base: Base, sandbox: str, *, second: bool) -> Iterator[tuple[Lane, Subject]]:
    """Run a daemon with a live session that writes the profile, a large one of the case's own."""
    with own_master(base) as master:
        add_ballast(master, _BALLAST_BYTES)
        with (
            open_lane(base, sandbox, master=master, session_disk_mb=4096, second=second) as lane,
            subject_at(lane, Moment.LIVE, writes=True) as subject,
        ):
            yield lane, subject


def _begin_commit(lane: Lane, subject: Subject) -> None:
    """Have the session end, and wait until its clone is being copied."""
    subject.delete()

    def is_copying() -> bool:
        copies = history_folder(lane.master).glob("*.new/ballast.bin")
        return any(copy.stat().st_size for copy in copies)

    wait_for(is_copying, CLOSE_S, "the commit has begun")


def _kill_host(subject: Subject) -> None:
    host = wait_for(lambda: subject.find(Victim.HOST), 5, "the host is found")
    os.kill(host.pid, signal.SIGKILL)


def _expect_unwritten(lane: Lane, result: Result) -> None:
    """Check that the profile is as it was, and that the next writer can have it and leaves nothing else."""
    result.expect(lane.master_state() == "same", "the master changed")
    prune(lane.master, KEPT, "chaos")
    left = [path.name for path in history_folder(lane.master).iterdir()]
    result.expect(not any(name.endswith(".new") for name in left), f"beside the master are {left}")


def writer_loses_host(base: Base, sandbox: str, result: Result) -> None:
    """The host of a live writer dies: nothing is committed."""
    with _writer(base, sandbox, second=True) as (lane, subject):
        _kill_host(subject)
        observe(subject, Expected(reasons=frozenset({LOST}), within_s=NOTICE_S), time.monotonic(), result)
        commit = lane.daemon.session(subject.id)["receipt"]["commit"]
        result.expect(commit["generation"] is None, f"it has committed: {commit}")
        check(subject, result, second=LOST)
        _expect_unwritten(lane, result)


def writer_loses_daemon(base: Base, sandbox: str, result: Result) -> None:
    """The daemon of a live writer dies: nothing is committed, and nobody has the profile any more."""
    with _writer(base, sandbox, second=False) as (lane, _):
        result.seconds, result.end = kill_and_count(lane, result), "-"
        _expect_unwritten(lane, result)
        sweep_after(lane, sandbox, result)


def commit_loses_host(base: Base, sandbox: str, result: Result) -> None:
    """The host dies while its session commits: nobody needs it any more, so there is a new generation."""
    with _writer(base, sandbox, second=True) as (lane, subject):
        before = current(lane.master)
        _begin_commit(lane, subject)
        _kill_host(subject)
        if current(lane.master) != before:
            raise Trouble("the commit was over too soon")
        expected = Expected(reasons=frozenset({"deleted"}), within_s=CLOSE_S + _COMMIT_S)
        observe(subject, expected, time.monotonic(), result)
        commit = lane.daemon.session(subject.id)["receipt"]["commit"]
        now = current(lane.master)
        result.expect(commit["problem"] is None, f"it has not committed: {commit}")
        result.expect(now is not None and now.number == commit["generation"], "the master is another one")
        result.expect(lane.master_state() != "same", "the master is as it was")
        lane.take_hash()
        check(subject, result, second=LOST)
        result.master = f"generation {commit['generation']}"


def commit_loses_daemon(base: Base, sandbox: str, result: Result) -> None:
    """The daemon dies while a session commits: the profile is as it was, and the next writer tidies up."""
    with _writer(base, sandbox, second=False) as (lane, subject):
        before = current(lane.master)
        _begin_commit(lane, subject)
        result.seconds, result.end = kill_and_count(lane, result), "-"
        if current(lane.master) != before:
            raise Trouble("the commit was over too soon")
        result.expect(any(history_folder(lane.master).glob("*.new")), "the commit had not begun")
        _expect_unwritten(lane, result)
        sweep_after(lane, sandbox, result)
