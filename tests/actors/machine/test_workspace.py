"""Workspaces before a launch: refused before anything exists, listed while it does, measured at the end."""

import contextlib
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from greenroom.actors import threads
from greenroom.actors.errors import (
    CloneFailed,
    NotLoggedIn,
    ProfileLocked,
    ProfileNotFound,
    ProfileNotReplaced,
    ProfileUnusable,
    ResourcesExhausted,
)
from greenroom.actors.ledger import Ledger
from greenroom.actors.lifecycle import ProfileInfo, ProfileMode, ProfileUse, Purpose
from greenroom.actors.machine.local import LocalMachine
from greenroom.actors.machine.workspace import LocalWorkspace
from greenroom.actors.profile import ProfileCloner, lease
from greenroom.actors.profile.describing import describe
from greenroom.actors.profile.generations import directory_of
from greenroom.actors.resources import Needs, disk_usage, preflight
from tests.actors.machine.machines import HOST, NOTHING, clone_of, open_hostless_machine
from tests.actors.profile.logins import keep_login
from tests.actors.profile.profile_trees import deep_tree, locked_by_other_process, snapshot
from tests.cancelling import cancelled_at_step
from tests.patience import patience

TOO_MUCH = 1 << 60

WRITE = ProfileUse(mode=ProfileMode.WRITE)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[LocalMachine]:
    """A machine without a host. At the end nothing of it is left and its master is unchanged."""
    async with open_hostless_machine(tmp_path) as machine:
        before = snapshot(machine.cloner.master)
        yield machine
        assert (machine.ledger.entries, names(machine.ledger)) == ((), [])
        assert machine.promises.outstanding == NOTHING
        assert snapshot(machine.cloner.master) == before
    assert list((tmp_path / "state").iterdir()) == []


def names(ledger: Ledger) -> list[str]:
    """Return the names of the ledger's entries and of the sessions' directories."""
    entries = [path.name for path in (ledger.folder / "ledger").iterdir()]
    return entries + [path.name for path in ledger.session_directories()]


async def test_clone_is_listed_as_long_as_it_exists(machine: LocalMachine) -> None:
    """The entry comes before the clone and goes after it."""
    async with machine.open_workspace("a") as workspace:
        assert clone_of(workspace) == machine.ledger.folder / "a"
        assert (clone_of(workspace) / "prefs.js").is_file()
        assert names(machine.ledger) == ["a.json", "a"]
        assert [entry.clone for entry in machine.ledger.entries] == [str(clone_of(workspace))]


async def test_clone_of_a_writer_becomes_the_master(tmp_path: Path) -> None:
    """Without what an automated browser leaves. Meanwhile nobody else gets a clone; they are told why."""
    async with open_hostless_machine(tmp_path) as machine:
        master = machine.cloner.master
        (master / "cookies.sqlite").unlink()
        (master / "storage" / "default" / "data.sqlite").unlink()
        own = (master / "prefs.js").read_bytes()
        async with machine.open_workspace("a", WRITE) as workspace:
            log_in(workspace)
            (clone_of(workspace) / "new").write_text("new")
            (clone_of(workspace) / "prefs.js").write_text("of the automation")
            later = datetime.now(UTC) + timedelta(hours=1)
            await workspace.put_off(later)
            for mode in ProfileMode:
                with pytest.raises(ProfileLocked) as refused:
                    async with machine.open_workspace("b", ProfileUse(mode=mode)):
                        pass
                assert refused.value.holder is not None
                assert (refused.value.holder.program, refused.value.holder.until) == ("session a", later)
            assert await workspace.commit() == 2
        assert ((master / "new").read_text(), (master / "prefs.js").read_bytes()) == ("new", own)
        assert not (directory_of(master, 1) / "new").exists()
        async with machine.open_workspace("b") as workspace:
            assert (clone_of(workspace) / "new").exists()
        assert (machine.ledger.entries, names(machine.ledger)) == ((), [])


def paths_in(folder: Path) -> set[Path]:
    """Return all that is below a directory."""
    return set(folder.rglob("*"))


def log_in(workspace: LocalWorkspace, *, name: str = "sessionid", days: int = 9) -> None:
    """Give a clone a login that lasts."""
    keep_login(clone_of(workspace), host=HOST, expires_at=datetime.now(UTC) + timedelta(days), name=name)


@pytest.mark.parametrize(
    "login", [None, {"days": -1}, {"name": "something"}], ids=["none", "expired", "another cookie"]
)
async def test_clone_without_a_login_that_lasts_is_not_committed(
    tmp_path: Path, login: dict[str, Any] | None
) -> None:
    """It would take the place of one that may have it."""
    async with open_hostless_machine(tmp_path) as machine:
        (machine.cloner.master / "cookies.sqlite").unlink()
        (machine.cloner.master / "storage" / "default" / "data.sqlite").unlink()
        before = snapshot(machine.cloner.master)
        async with machine.open_workspace("a", WRITE) as workspace:
            if login is not None:
                log_in(workspace, **login)
            with pytest.raises(ProfileNotReplaced, match="The login ended with the browser"):
                await workspace.commit()
        assert snapshot(machine.cloner.master) == before


@pytest.mark.parametrize("name", ["default", "shop"])
async def test_profile_that_may_be_new_is_made_and_stays_if_something_is_committed(
    tmp_path: Path, name: str
) -> None:
    """Otherwise nothing of it does."""
    use = ProfileUse(name=name, mode=ProfileMode.WRITE, may_be_new=True)
    async with open_hostless_machine(tmp_path) as machine:
        shutil.rmtree(machine.cloner.master)
        before = paths_in(tmp_path)
        async with machine.open_workspace("a", use) as workspace:
            assert list(clone_of(workspace).iterdir()) == []
        assert paths_in(tmp_path) == before
        until = datetime.now(UTC)
        async with machine.open_workspace("a", use, purpose=Purpose.LOGIN, until=until) as workspace:
            with pytest.raises(ProfileLocked) as refused:
                async with machine.open_workspace("b", use):
                    pass
            assert refused.value.holder is not None
            assert (refused.value.holder.program, refused.value.holder.until) == ("login a", until)
            log_in(workspace)
            assert await workspace.commit() == 1
        assert (machine.store.path_of(name) / "cookies.sqlite").exists()
        async with machine.open_workspace("a", ProfileUse(name=name)) as workspace:
            assert (clone_of(workspace) / "cookies.sqlite").exists()


async def test_login_that_was_renewed_in_the_clone_is_noticed(tmp_path: Path) -> None:
    """Another value of the same cookies, and nothing else: neither another time nor a login that is gone."""
    async with open_hostless_machine(tmp_path) as machine:
        later = datetime.now(UTC) + timedelta(days=9)
        keep_login(machine.cloner.master, host=HOST, expires_at=later)
        async with machine.open_workspace("a") as workspace:
            cookies = clone_of(workspace) / "cookies.sqlite"
            assert not await workspace.has_rotated()
            _change(cookies, "UPDATE moz_cookies SET expiry = expiry + 1000")
            assert not await workspace.has_rotated()
            _change(cookies, "UPDATE moz_cookies SET value = 'other'")
            assert await workspace.has_rotated()
            assert "other" not in repr(workspace.login)
            _change(cookies, "DELETE FROM moz_cookies")
            assert not await workspace.has_rotated()
            cookies.write_bytes(b"no database" * 1000)
            assert not await workspace.has_rotated()


def _change(cookies: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(cookies)) as database, database:
        database.execute(statement)


async def test_profile_that_is_broken_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One says what is wrong with it, even if that is a fault of ours."""
    async with open_hostless_machine(tmp_path) as machine:
        keep_login(machine.cloner.master, host=HOST, expires_at=datetime.now(UTC) + timedelta(days=9))
        for name in ("broken", "fault"):
            (machine.store.make(name) / "cookies.sqlite").write_bytes(b"no database" * 1000)

        def describe_or_fail(cloner: ProfileCloner, host: str) -> ProfileInfo:
            if cloner.name == "fault":
                raise KeyError("a bug")
            return describe(cloner, host)

        monkeypatch.setattr("greenroom.actors.machine.local.describe", describe_or_fail)
        default, broken, fault = await machine.profiles()
        assert (default.login, default.problem) == (("sessionid",), None)
        assert (broken.name, broken.login, bool(broken.problem)) == ("broken", (), True)
        assert (fault.name, fault.problem) == ("fault", "An internal error occurred")


async def test_browser_that_quits_is_waited_for(tmp_path: Path) -> None:
    """Only then has it saved its profile."""
    async with open_hostless_machine(tmp_path) as machine, machine.open_workspace("a") as workspace:
        await workspace.wait_quit()
        (clone_of(workspace) / ".parentlock").touch()
        with locked_by_other_process(clone_of(workspace)):
            with trio.move_on_after(0.3) as waiting:
                await workspace.wait_quit()
            assert waiting.cancelled_caught
        with trio.fail_after(patience(5)):
            assert not await workspace.wait_quit()  # killed: it has not come to the end of its quitting
        steps = clone_of(workspace) / "sessionCheckpoints.json"
        for text, has_quit in (
            ('{"profile-after-change":true}', False),
            ('{"profile-after-change":true,"profile-before-change":true}', True),
            ('{"profile-before-change":"yes"}', False),
            ("[", False),
        ):
            steps.write_text(text)
            assert await workspace.wait_quit() == has_quit


async def test_workspace_is_of_the_profile_that_is_named(tmp_path: Path) -> None:
    """Writing one keeps nobody out of another."""
    async with open_hostless_machine(tmp_path) as machine:
        with pytest.raises(ProfileNotFound, match="no profile 'shop'"):
            async with machine.open_workspace("a", ProfileUse(name="shop")):
                pass
        before = snapshot(machine.cloner.master)
        shop = machine.store.make("shop")
        with pytest.raises(NotLoggedIn) as empty:
            await machine.profile_version("shop")
        assert empty.value.hint == "The master profile is empty: run `greenroom login shop` to log in"
        (shop / "prefs.js").write_text("of the shop")
        async with machine.open_workspace("a", ProfileUse(name="shop", mode=ProfileMode.WRITE)) as workspace:
            log_in(workspace)
            (clone_of(workspace) / "new").touch()
            async with machine.open_workspace("b") as other:
                assert not (clone_of(other) / "new").exists()
            assert await workspace.commit() == 2
        async with machine.open_workspace("a", ProfileUse(name="shop")) as workspace:
            assert (clone_of(workspace) / "prefs.js").read_text() == "of the shop"
            assert (clone_of(workspace) / "new").exists()
        assert snapshot(machine.cloner.master) == before
        assert machine.ledger.entries == ()


async def test_profile_of_a_newer_browser_is_read_but_not_written(tmp_path: Path) -> None:
    """What an older browser writes could harm it."""
    async with open_hostless_machine(tmp_path) as machine:
        machine.cloner.engine_version = "140.0"
        (machine.cloner.master / "compatibility.ini").write_text("[Compatibility]\nLastVersion=999.0_1/x\n")
        async with machine.open_workspace("a"):
            pass
        with pytest.raises(ProfileUnusable, match=r"Firefox 999\.0, which is newer than 140\.0"):
            async with machine.open_workspace("a", WRITE):
                pass


async def test_writer_that_commits_nothing_changes_nothing(machine: LocalMachine) -> None:
    """It gives the profile back, also if its workspace could not be made; a reader can't commit."""
    async with machine.open_workspace("a", WRITE) as workspace:
        (clone_of(workspace) / "new").write_text("new")
    with lease.reading(machine.cloner.master), pytest.raises(ProfileLocked):
        async with machine.open_workspace("a", WRITE):
            pass
    async with machine.open_workspace("a") as workspace:
        with pytest.raises(RuntimeError):
            await workspace.commit()


async def test_freed_bytes_are_the_clones_size_at_the_end(machine: LocalMachine) -> None:
    """Files that the browser has written count; files that it has removed don't."""
    async with machine.open_workspace("a") as workspace:
        at_first = disk_usage(clone_of(workspace))
        (clone_of(workspace) / "grown").write_bytes(b"x" * 1_000_000)
        (clone_of(workspace) / "cookies.sqlite").unlink()
        at_last = disk_usage(clone_of(workspace))
        assert workspace.freed_bytes == 0
    assert workspace.freed_bytes == at_last > at_first + 800_000


async def test_freed_bytes_are_reported_after_a_cancellation(machine: LocalMachine) -> None:
    """A receipt is complete however the session ended."""
    with trio.CancelScope() as scope:
        async with machine.open_workspace("a") as workspace:
            scope.cancel(reason="a test")
            await trio.lowlevel.checkpoint()
    assert workspace.freed_bytes > 100_000


async def test_freed_bytes_are_reported_after_an_error(machine: LocalMachine) -> None:
    """The error propagates unchanged."""
    with pytest.raises(KeyError, match="a test"):
        async with machine.open_workspace("a") as workspace:
            raise KeyError("a test")
    assert workspace.freed_bytes > 100_000


async def test_clone_that_is_gone_already_frees_nothing(machine: LocalMachine) -> None:
    """Somebody who removes a clone by hand does no harm."""
    async with machine.open_workspace("a") as workspace:
        shutil.rmtree(clone_of(workspace))
    assert workspace.freed_bytes == 0


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
    machine: LocalMachine, short: Needs, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the scarce resource. Neither an entry nor a directory was made."""

    def fail(*_: object) -> None:
        pytest.fail("something was made")

    monkeypatch.setattr(Ledger, "_write", fail)
    monkeypatch.setattr(ProfileCloner, "_make_empty", fail)
    with pytest.raises(ResourcesExhausted, match=named):
        async with attrs.evolve(machine, needs=short).open_workspace("a"):
            pytest.fail("there is a clone")
    assert named in str(await attrs.evolve(machine, needs=short).shortage())
    assert names(machine.ledger) == []


async def test_shortage_of_a_profile_that_is_not_there_is_none_of_the_machine(machine: LocalMachine) -> None:
    """It raises what a session of that profile would."""
    with pytest.raises(ProfileNotFound):
        await machine.shortage("nobody")


class Room:
    """A machine with a fixed amount of room. The test decides which clones are still being made."""

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


async def ask(machine: LocalMachine, session: str, answers: dict[str, str]) -> None:
    """Ask for a clone, keep it, and note the outcome."""
    try:
        async with machine.open_workspace(session):
            answers[session] = "let in"
            await trio.sleep_forever()
    except ResourcesExhausted as exc:
        answers[session] = str(exc)


async def test_memory_for_three_is_given_to_three_of_ten_at_once(
    machine: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session counts before its browser uses any memory."""
    room = Room(monkeypatch, memory=3_500)
    room.may_copy.set()
    machine = attrs.evolve(machine, needs=attrs.evolve(NOTHING, memory_bytes=1_000))
    answers: dict[str, str] = {}
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(ask, machine, f"s{number}", answers)
        with trio.fail_after(patience(5)):
            while len(answers) < 10:
                await trio.sleep(0.01)
        assert Counter(answer[:27] for answer in answers.values()) == {
            "let in": 3,
            "There is too little memory ": 7,
        }
        one = next(session for session in answers if answers[session] == "let in")
        machine.promises.browser_runs(one)
        with trio.fail_after(patience(5)):
            await nursery.start(_let_in, machine, "later")
        with pytest.raises(ResourcesExhausted):
            async with machine.open_workspace("too many"):
                pytest.fail("there is a clone")
        nursery.cancel_scope.cancel(reason="a test")
    assert machine.promises.outstanding == NOTHING


async def _let_in(
    machine: LocalMachine, session: str, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    async with machine.open_workspace(session):
        task_status.started()
        await trio.sleep_forever()


async def test_disk_space_is_promised_until_the_clone_is_made(
    machine: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a clone is being made it counts with the master's size. After that, the disk itself shows it."""
    size = disk_usage(machine.cloner.master)
    room = Room(monkeypatch, disk_bytes=2 * size - 1)
    answers: dict[str, str] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, machine, "first", answers)
        with trio.fail_after(patience(5)):
            while not machine.ledger.entries:
                await trio.sleep(0.01)
            assert machine.promises.outstanding.disk_bytes == size
            await ask(machine, "second", answers)
        assert "disk space" in answers["second"]
        room.may_copy.set()
        with trio.fail_after(patience(5)):
            await nursery.start(_let_in, machine, "third")
        assert answers["first"] == "let in"
        nursery.cancel_scope.cancel(reason="a test")
    assert machine.promises.outstanding == NOTHING


async def test_creation_cancelled_at_any_checkpoint_keeps_no_promise(machine: LocalMachine) -> None:
    """The room promised to a session is free again if the session doesn't come about."""
    machine = attrs.evolve(machine, needs=Needs(disk_bytes=1, inodes=1, memory_bytes=1, pids=1))
    reached = False
    step = 0
    while not reached:
        step += 1
        with trio.fail_after(patience(5)), cancelled_at_step(step) as scope:
            async with machine.open_workspace("a"):
                reached = True
                scope.cancel(reason="no checkpoint is left to try")
        assert machine.promises.outstanding == NOTHING
    assert step > 3


async def test_clone_that_cant_be_made_keeps_no_promise(machine: LocalMachine, tmp_path: Path) -> None:
    """A session that failed takes no room."""
    nothing = ProfileCloner(master=tmp_path / "nothing", clones_dir=machine.ledger.folder)
    with pytest.raises(NotLoggedIn):
        async with attrs.evolve(machine, cloner=nothing, needs=Needs()).open_workspace("a"):
            pytest.fail("there is a clone")
    assert machine.promises.outstanding == NOTHING


async def test_master_that_is_missing_leaves_no_entry(machine: LocalMachine, tmp_path: Path) -> None:
    """The entry is removed at once if the clone can't be made."""
    nothing = ProfileCloner(master=tmp_path / "nothing", clones_dir=machine.ledger.folder)
    with pytest.raises(NotLoggedIn):
        async with attrs.evolve(machine, cloner=nothing).open_workspace("a"):
            pytest.fail("there is a clone")


async def test_clone_that_cant_be_removed_stays_listed(
    machine: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clone stays in the ledger, and the entry goes with the next holder of the session."""

    def fail(clone: Path) -> None:
        raise CloneFailed("The clone could not be removed", detail=str(clone))

    with monkeypatch.context() as patch:
        patch.setattr("greenroom.actors.profile.removal.remove_tree", fail)
        with pytest.raises(CloneFailed) as caught:
            async with machine.open_workspace("a") as workspace:
                pass
    assert str(caught.value) == "The clone could not be removed"
    assert names(machine.ledger) == ["a.json", "a"]
    assert len(machine.ledger.entries) == 1
    assert workspace.freed_bytes > 0
    assert workspace.left == ("a",)
    shutil.rmtree(clone_of(workspace))
    async with machine.ledger.hold("a"):
        pass


async def test_many_clones_at_once_leave_nothing(machine: LocalMachine) -> None:
    """Entries and clones of many sessions come and go concurrently."""

    async def live(session: str) -> None:
        async with machine.open_workspace(session) as workspace:
            assert clone_of(workspace).name == session
            assert (machine.ledger.folder / "ledger" / f"{session}.json").is_file()

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(live, f"s{number}")


async def test_scratch_that_stays_is_reported_too(machine: LocalMachine) -> None:
    """A session's temporary files go before its clone. The receipt names whichever is left."""
    async with machine.open_workspace("a") as workspace:
        (machine.ledger.folder / "a.tmp").mkdir()
    assert workspace.left == ("a.tmp",)
    assert names(machine.ledger) == ["a.json", "a.tmp"]
    (machine.ledger.folder / "a.tmp").rmdir()
    async with machine.open_workspace("a") as workspace:
        pass
    assert workspace.left == ()


async def test_removal_that_hangs_is_reported_and_stays_listed(
    machine: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that hangs, measuring and removing both have time limits; then the session is over."""
    disk_recovers = threading.Event()

    def hang(_: Path) -> int:
        disk_recovers.wait(patience(10))
        return 0

    try:
        with monkeypatch.context() as patch, trio.fail_after(patience(5)):
            patch.setattr("greenroom.actors.machine.local._MEASURE_S", 0.05)
            patch.setattr("greenroom.actors.profile.removal._IN_TIME_S", 0.05)
            patch.setattr("greenroom.actors.machine.local.disk_usage", hang)
            patch.setattr("greenroom.actors.profile.removal.remove_tree", hang)
            with pytest.raises(CloneFailed, match="in time"):
                async with machine.open_workspace("a") as workspace:
                    pass
    finally:
        disk_recovers.set()
    assert (workspace.left, workspace.freed_bytes) == (("a",), 0)
    assert names(machine.ledger) == ["a.json", "a"]
    shutil.rmtree(clone_of(workspace))
    async with machine.ledger.hold("a"):
        pass


async def test_clones_directory_removed_while_in_use_is_made_again(machine: LocalMachine) -> None:
    """Sessions that have lost their clones end properly, and new sessions get clones."""
    async with machine.open_workspace("a") as lost:
        shutil.rmtree(machine.ledger.folder.parent)
        async with machine.open_workspace("b") as workspace:
            assert (clone_of(workspace) / "prefs.js").is_file()
    assert (lost.left, workspace.left) == ((), ())


async def test_extreme_trees_are_removed(machine: LocalMachine) -> None:
    """A clone nested deeper than Python can recurse is removed completely."""
    with contextlib.ExitStack() as trees:
        async with machine.open_workspace("a") as workspace:
            trees.enter_context(deep_tree(clone_of(workspace) / "deep", 1_100))
        assert workspace.left == ()


async def test_forty_creations_on_a_hung_master_hold_up_no_session_that_lives(
    machine: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The creations wait for their own deadlines. Other sessions end, can be surveyed, and leave nothing."""
    disk_recovers = threading.Event()

    def hang(_: ProfileCloner) -> None:
        disk_recovers.wait(patience(10))

    async def create(session: str) -> None:
        async with machine.open_workspace(session):
            pytest.fail("there is a clone")

    try:
        with trio.fail_after(patience(5)):
            async with trio.open_nursery() as nursery:
                async with machine.open_workspace("a"):
                    monkeypatch.setattr(ProfileCloner, "look", hang)
                    for number in range(40):
                        nursery.start_soon(create, f"s{number}")
                    while threads.limiter(threads.Work.MASTER).statistics().tasks_waiting < 32:
                        await trio.lowlevel.checkpoint()
                    assert (await machine.survey()).entries == ("a",)
                assert names(machine.ledger) == []
                nursery.cancel_scope.cancel(reason="a test")
    finally:
        disk_recovers.set()
