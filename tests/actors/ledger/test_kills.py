"""Whatever step of its start, end or sweep a daemon is killed at, the next sweep leaves nothing."""

import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

import attrs
import hypothesis
import pytest
from hypothesis import strategies as st
from structlog.testing import capture_logs

from greenroom.actors.ledger import ledger as living
from greenroom.actors.ledger import sweep
from tests.actors.ledger.killing import killed_at, step
from tests.actors.profile.profile_trees import make_profile
from tests.patience import patience

OWNER = f"{'0123456789abcdef' * 2}-1"
MOST_STEPS = 300


@attrs.frozen
class Left:
    """What a dead daemon left of one session: its directories, and possibly its entry."""

    clone: bool
    scratch: bool
    entry: str | None


@attrs.define(eq=False)
class Machine:
    """A clones directory; `killed` are the markers whose processes were ended."""

    clones_dir: Path
    killed: set[str] = attrs.field(factory=set)

    def kill_marked(self, markers: Collection[str]) -> dict[str, list[int]]:
        step()
        self.killed.update(markers)
        return {}

    def die_with(self, sessions: dict[str, Left], *, lock: bool = True) -> set[str]:
        """Leave what a dead daemon with these sessions would leave; return the markers to be ended."""
        folder = self.clones_dir / OWNER
        (folder / "ledger").mkdir(parents=True)
        if lock:
            (folder / "owner.lock").touch()
        for name, left in sessions.items():
            if left.clone:
                make_profile(folder / name)
            if left.scratch:
                (folder / f"{name}.tmp").mkdir()
            if left.entry is not None:
                (folder / "ledger" / f"{name}.{left.entry}").write_text("{")
        return {f"{OWNER}.{name}" for name, left in sessions.items() if left != Left(False, False, None)}

    def sweep(self) -> None:
        with capture_logs():
            sweep(self.clones_dir, self.kill_marked)


LEFT = st.builds(Left, st.booleans(), st.booleans(), st.sampled_from([None, "json", "part"]))


@hypothesis.given(
    sessions=st.dictionaries(st.sampled_from(["a", "b", "host-1"]), LEFT),
    lock=st.booleans(),
    kills=st.lists(st.integers(0, 120), min_size=1, max_size=3),
)
def test_sweeps_killed_at_any_step_leave_all_to_the_next(
    sessions: dict[str, Left], lock: bool, kills: list[int]
) -> None:
    """Whatever was left, and however often a sweep was interrupted, nothing is there in the end."""
    with tempfile.TemporaryDirectory() as name:
        machine = Machine(Path(name, "clones"))
        wanted = machine.die_with(sessions, lock=lock)
        for steps in kills:
            with killed_at(steps):
                machine.sweep()
            kept = {path.name for path in machine.clones_dir.glob("*/*")}
            gone = {name for name, left in sessions.items() if left.clone and name not in kept}
            assert {f"{OWNER}.{name}" for name in gone} <= machine.killed
        machine.sweep()
        assert list(machine.clones_dir.iterdir()) == []
        assert machine.killed == wanted


def test_sweep_killed_at_each_step_leaves_all_to_the_next(tmp_path: Path) -> None:
    """One daemon's directory, with a sweep that is killed at every single step."""
    for steps in range(MOST_STEPS):
        machine = Machine(tmp_path / str(steps))
        wanted = machine.die_with({"a": Left(True, True, "json"), "b": Left(True, False, "json")})
        done = False
        with killed_at(steps):
            machine.sweep()
            done = True
        machine.sweep()
        assert list(machine.clones_dir.iterdir()) == []
        assert machine.killed == wanted
        if done:
            assert steps > 40
            return
    pytest.fail("the sweep takes too many steps")


def test_start_and_end_killed_at_each_step_leave_nothing(tmp_path: Path) -> None:
    """A sweep also handles a daemon that died while it made or removed its directory."""
    for steps in range(MOST_STEPS):
        machine = Machine(tmp_path / str(steps))
        ledger = None
        done = False
        with killed_at(steps):
            ledger = living._begin(machine.clones_dir, machine.kill_marked)
            living._finish(ledger)
            done = True
        if machine.clones_dir.exists():
            machine.sweep()
            assert list(machine.clones_dir.iterdir()) == []
        if done:
            assert steps > 8
            return
    pytest.fail("a daemon's life takes too many steps")


# Forks sweeps that kill themselves at step 0, 1, and so on, until one goes through; prints how many died.
_KILLED_SWEEPS = """
import itertools, os, signal, sys
from pathlib import Path
import structlog
from greenroom.actors.ledger import sweep
from tests.actors.ledger.killing import STEPS
from tests.actors.ledger.test_kills import Left, Machine

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
for steps in itertools.count():
    machine = Machine(Path(sys.argv[1], str(steps)))
    machine.die_with({"a": Left(True, True, "json")})
    if (child := os.fork()) == 0:
        counted = itertools.count()
        def die(event, _):
            if event in STEPS and next(counted) == steps:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(die)
        sweep(machine.clones_dir, lambda _: {})
        os._exit(0)
    _, status = os.waitpid(child, 0)
    sweep(machine.clones_dir, machine.kill_marked)
    assert list(machine.clones_dir.iterdir()) == [], steps
    if status == 0:
        print(steps)
        break
"""


def test_sweep_that_is_really_killed_leaves_all_to_the_next(tmp_path: Path) -> None:
    """A sweep is killed by SIGKILL: its locks end with the process, and no cleanup code runs."""
    command = [sys.executable, "-c", _KILLED_SWEEPS, str(tmp_path)]
    died = subprocess.run(command, check=True, capture_output=True, text=True, timeout=patience(120))
    assert int(died.stdout.splitlines()[-1]) > 30
