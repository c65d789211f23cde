"""Clones as the daemon keeps them: refused before anything exists, listed while they exist, then measured."""

import contextlib
import shutil
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trio

from actors.browser import end_marked
from actors.clones import LedgeredProfiles
from actors.errors import CloneFailed, NotLoggedIn, ResourcesExhausted
from actors.estate import RealEstate
from actors.ledger import Ledger, open_ledger
from actors.profile import ProfileCloner
from actors.resources import Needs, disk_usage, preflight
from actors.threads import Purpose, limiter
from tests.actors.profile_trees import deep_tree, make_profile, snapshot
from tests.cancelling import cancelled_at_step
from tests.patience import patience

NOTHING = Needs(disk_bytes=0, inodes=0, memory_bytes=0, file_descriptors=0, pids=0)
TOO_MUCH = 1 << 60


@pytest.fixture
async def profiles(tmp_path: Path) -> AsyncIterator[LedgeredProfiles]:
    """Clones of a small master, in their own ledger; both are gone without a trace in the end."""
    master = make_profile(tmp_path / "master")
    before = snapshot(master)
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        cloner = ProfileCloner(master=master, clones_dir=ledger.folder)
        yield LedgeredProfiles(cloner=cloner, ledger=ledger, needs=NOTHING)
        assert (ledger.entries, names(ledger)) == ((), [])
    assert list((tmp_path / "state").iterdir()) == []
    assert snapshot(master) == before


def names(ledger: Ledger) -> list[str]:
    """Return the names of the entries and of the sessions' directories."""
    entries = [path.name for path in (ledger.folder / "ledger").iterdir()]
    return entries + [path.name for path in ledger.session_directories()]


async def test_clone_is_listed_as_long_as_it_exists(profiles: LedgeredProfiles) -> None:
    """The entry is written before the clone is made, and removed after it."""
    async with profiles.open_clone("a") as clone:
        assert clone.path == profiles.ledger.folder / "a"
        assert (clone.path / "prefs.js").is_file()
        assert names(profiles.ledger) == ["a.json", "a"]
        assert [entry.clone for entry in profiles.ledger.entries] == [str(clone.path)]


async def test_freed_bytes_are_what_the_clone_took_at_its_end(profiles: LedgeredProfiles) -> None:
    """Files that the browser has written count; those that it has removed don't."""
    async with profiles.open_clone("a") as clone:
        at_first = disk_usage(clone.path)
        (clone.path / "grown").write_bytes(b"x" * 1_000_000)
        (clone.path / "cookies.sqlite").unlink()
        at_last = disk_usage(clone.path)
        assert clone.freed_bytes == 0
    assert clone.freed_bytes == at_last > at_first + 800_000


async def test_freed_bytes_are_told_after_a_cancellation(profiles: LedgeredProfiles) -> None:
    """A receipt is complete, however the session ended."""
    with trio.CancelScope() as scope:
        async with profiles.open_clone("a") as clone:
            scope.cancel(reason="a test")
            await trio.lowlevel.checkpoint()
    assert clone.freed_bytes > 100_000


async def test_freed_bytes_are_told_after_an_error(profiles: LedgeredProfiles) -> None:
    """The error propagates unchanged."""
    with pytest.raises(KeyError, match="a test"):
        async with profiles.open_clone("a") as clone:
            raise KeyError("a test")
    assert clone.freed_bytes > 100_000


async def test_clone_that_is_gone_already_frees_nothing(profiles: LedgeredProfiles) -> None:
    """Removing a clone by hand does no harm."""
    async with profiles.open_clone("a") as clone:
        shutil.rmtree(clone.path)
    assert clone.freed_bytes == 0


@pytest.mark.parametrize(
    ("short", "named"),
    [
        (Needs(disk_bytes=TOO_MUCH), "disk space"),
        (Needs(memory_bytes=TOO_MUCH), "memory"),
        (Needs(file_descriptors=TOO_MUCH), "file descriptors"),
        (Needs(pids=TOO_MUCH), "pids"),
    ],
    ids=["disk", "memory", "descriptors", "pids"],
)
async def test_shortage_refuses_before_anything_exists(
    profiles: LedgeredProfiles, short: Needs, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names what is too scarce, and neither an entry nor a directory was made."""

    def fail(*_: object) -> None:
        pytest.fail("something was made")

    monkeypatch.setattr(Ledger, "_write", fail)
    monkeypatch.setattr(ProfileCloner, "_make_empty", fail)
    with pytest.raises(ResourcesExhausted, match=named):
        async with attrs.evolve(profiles, needs=short).open_clone("a"):
            pytest.fail("there is a clone")
    assert names(profiles.ledger) == []


class Room:
    """A machine with a fixed amount of room; the test decides which clones are being made."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, disk_bytes: int = TOO_MUCH, memory: int = TOO_MUCH
    ):
        monkeypatch.setattr(preflight, "_disk_room", lambda _: (disk_bytes, None))
        monkeypatch.setattr(preflight, "_memory_rooms", lambda _: [memory])
        monkeypatch.setattr(ProfileCloner, "open_clone", self.open_clone)
        self.may_copy = trio.Event()

    @contextlib.asynccontextmanager
    async def open_clone(self, session_id: str) -> AsyncIterator[Path]:
        await self.may_copy.wait()
        yield Path(session_id)


async def ask(profiles: LedgeredProfiles, session: str, answers: dict[str, str]) -> None:
    """Ask for a clone, keep it, and record the outcome."""
    try:
        async with profiles.open_clone(session):
            answers[session] = "let in"
            await trio.sleep_forever()
    except ResourcesExhausted as exc:
        answers[session] = str(exc)


async def test_memory_for_three_is_given_to_three_of_ten_at_once(
    profiles: LedgeredProfiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session whose browser does not run yet uses no memory, but it counts nevertheless."""
    room = Room(monkeypatch, memory=3_500)
    room.may_copy.set()
    profiles = attrs.evolve(profiles, needs=attrs.evolve(NOTHING, memory_bytes=1_000))
    answers: dict[str, str] = {}
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(ask, profiles, f"s{number}", answers)
        with trio.fail_after(patience(5)):
            while len(answers) < 10:
                await trio.sleep(0.01)
        assert Counter(answer[:27] for answer in answers.values()) == {
            "let in": 3,
            "There is too little memory ": 7,
        }
        one = next(session for session in answers if answers[session] == "let in")
        profiles.ledger.promises.browser_runs(one)
        with trio.fail_after(patience(5)):
            await nursery.start(_let_in, profiles, "later")
        with pytest.raises(ResourcesExhausted):
            async with profiles.open_clone("too many"):
                pytest.fail("there is a clone")
        nursery.cancel_scope.cancel(reason="a test")
    assert profiles.ledger.promises.outstanding == NOTHING


async def _let_in(
    profiles: LedgeredProfiles, session: str, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    async with profiles.open_clone(session):
        task_status.started()
        await trio.sleep_forever()


async def test_disk_space_is_promised_until_the_clone_is_made(
    profiles: LedgeredProfiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unfinished clone counts with the master's size; a finished one shows on the disk itself."""
    size = disk_usage(profiles.cloner.master)
    room = Room(monkeypatch, disk_bytes=2 * size - 1)
    answers: dict[str, str] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, profiles, "first", answers)
        with trio.fail_after(patience(5)):
            while not profiles.ledger.entries:
                await trio.sleep(0.01)
            assert profiles.ledger.promises.outstanding.disk_bytes == size
            await ask(profiles, "second", answers)
        assert "disk space" in answers["second"]
        room.may_copy.set()
        with trio.fail_after(patience(5)):
            await nursery.start(_let_in, profiles, "third")
        assert answers["first"] == "let in"
        nursery.cancel_scope.cancel(reason="a test")
    assert profiles.ledger.promises.outstanding == NOTHING


async def test_creation_given_up_at_any_checkpoint_keeps_no_promise(profiles: LedgeredProfiles) -> None:
    """Whatever a session was promised is free again once the session is abandoned."""
    profiles = attrs.evolve(profiles, needs=Needs(disk_bytes=1, inodes=1, memory_bytes=1, pids=1))
    reached = False
    step = 0
    while not reached:
        step += 1
        with trio.fail_after(patience(5)), cancelled_at_step(step) as scope:
            async with profiles.open_clone("a"):
                reached = True
                scope.cancel(reason="no checkpoint is left to try")
        assert profiles.ledger.promises.outstanding == NOTHING
    assert step > 3


async def test_clone_that_cant_be_made_keeps_no_promise(profiles: LedgeredProfiles, tmp_path: Path) -> None:
    """A failed session keeps no promise."""
    nothing = ProfileCloner(master=tmp_path / "nothing", clones_dir=profiles.ledger.folder)
    with pytest.raises(NotLoggedIn):
        async with attrs.evolve(profiles, cloner=nothing, needs=Needs()).open_clone("a"):
            pytest.fail("there is a clone")
    assert profiles.ledger.promises.outstanding == NOTHING


async def test_master_that_is_missing_leaves_no_entry(profiles: LedgeredProfiles, tmp_path: Path) -> None:
    """If a clone can't be made, its entry is removed at once."""
    nothing = ProfileCloner(master=tmp_path / "nothing", clones_dir=profiles.ledger.folder)
    with pytest.raises(NotLoggedIn):
        async with attrs.evolve(profiles, cloner=nothing).open_clone("a"):
            pytest.fail("there is a clone")


async def test_clone_that_cant_be_removed_stays_listed(
    profiles: LedgeredProfiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clone is in the ledger for everybody to see, and the session's next holder removes the entry."""

    def fail(clone: Path) -> None:
        raise CloneFailed("The clone could not be removed", detail=str(clone))

    with monkeypatch.context() as patch:
        patch.setattr("actors.removal.remove_tree", fail)
        with pytest.raises(CloneFailed) as caught:
            async with profiles.open_clone("a") as clone:
                pass
    assert str(caught.value) == "The clone could not be removed"
    assert names(profiles.ledger) == ["a.json", "a"]
    assert len(profiles.ledger.entries) == 1
    assert clone.freed_bytes > 0
    assert clone.left == ("a",)
    shutil.rmtree(clone.path)
    async with profiles.ledger.hold("a"):
        pass


async def test_many_clones_at_once_leave_nothing(profiles: LedgeredProfiles) -> None:
    """Entries and clones of many concurrent sessions come and go."""

    async def live(session: str) -> None:
        async with profiles.open_clone(session) as clone:
            assert clone.path.name == session
            assert (profiles.ledger.folder / "ledger" / f"{session}.json").is_file()

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(live, f"s{number}")


async def test_scratch_that_stays_is_told_too(profiles: LedgeredProfiles) -> None:
    """A session's temporary files are removed before its clone, so the receipt can name either."""
    async with profiles.open_clone("a") as clone:
        (profiles.ledger.folder / "a.tmp").mkdir()
    assert clone.left == ("a.tmp",)
    assert names(profiles.ledger) == ["a.json", "a.tmp"]
    (profiles.ledger.folder / "a.tmp").rmdir()
    async with profiles.open_clone("a") as clone:
        pass
    assert clone.left == ()


async def test_removal_that_hangs_is_reported_and_stays_listed(
    profiles: LedgeredProfiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measuring and removing on a disk that hangs are both bounded, and then the session is over."""
    disk_recovers = threading.Event()

    def hang(_: Path) -> int:
        disk_recovers.wait(patience(10))
        return 0

    try:
        with monkeypatch.context() as patch, trio.fail_after(patience(5)):
            patch.setattr("actors.clones._MEASURE_S", 0.05)
            patch.setattr("actors.removal._IN_TIME_S", 0.05)
            patch.setattr("actors.clones.disk_usage", hang)
            patch.setattr("actors.removal.remove_tree", hang)
            with pytest.raises(CloneFailed, match="in time"):
                async with profiles.open_clone("a") as clone:
                    pass
    finally:
        disk_recovers.set()
    assert (clone.left, clone.freed_bytes) == (("a",), 0)
    assert names(profiles.ledger) == ["a.json", "a"]
    shutil.rmtree(clone.path)
    async with profiles.ledger.hold("a"):
        pass


async def test_clones_directory_removed_while_in_use_is_made_anew(profiles: LedgeredProfiles) -> None:
    """Sessions that have lost their clones end in order, and new ones get theirs."""
    async with profiles.open_clone("a") as lost:
        shutil.rmtree(profiles.ledger.folder.parent)
        async with profiles.open_clone("b") as clone:
            assert (clone.path / "prefs.js").is_file()
    assert (lost.left, clone.left) == ((), ())


async def test_trees_that_nobody_would_make_are_removed(profiles: LedgeredProfiles) -> None:
    """A session's end removes directories that are nested deeper than Python can recurse."""
    with contextlib.ExitStack() as trees:
        async with profiles.open_clone("a") as clone:
            trees.enter_context(deep_tree(clone.path / "deep", 1_100))
        assert clone.left == ()


async def test_forty_creations_on_a_hung_master_hold_up_no_session_that_lives(
    profiles: LedgeredProfiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The creations wait for their own deadlines; other sessions end, are surveyed, and leave nothing."""
    disk_recovers = threading.Event()

    def hang(_: ProfileCloner) -> None:
        disk_recovers.wait(patience(10))

    async def create(session: str) -> None:
        async with profiles.open_clone(session):
            pytest.fail("there is a clone")

    try:
        with trio.fail_after(patience(5)):
            async with trio.open_nursery() as nursery:
                async with profiles.open_clone("a"):
                    monkeypatch.setattr(ProfileCloner, "look", hang)
                    for number in range(40):
                        nursery.start_soon(create, f"s{number}")
                    while limiter(Purpose.MASTER).statistics().tasks_waiting < 32:
                        await trio.lowlevel.checkpoint()
                    assert (await RealEstate(profiles.ledger).survey()).entries == ("a",)
                assert names(profiles.ledger) == []
                nursery.cancel_scope.cancel(reason="a test")
    finally:
        disk_recovers.set()
