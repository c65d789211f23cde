"""Generations of a profile: the current one is the old one or the new one, whole, whatever happens."""

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from greenroom.actors.errors import ProfileLocked, ProfileNotReplaced
from greenroom.actors.lifecycle import ProfileHolder
from greenroom.actors.profile import exchange as exchange_module
from greenroom.actors.profile import generations, lease, making
from greenroom.actors.profile.copy import GENERATION_FILE
from greenroom.actors.profile.generations import (
    KEPT,
    current,
    directory_of,
    history,
    history_folder,
    open_writing,
    prune,
    remove_abandoned,
    roll_back,
)
from greenroom.actors.profile.store import ProfileStore
from tests.actors.profile.profile_trees import locked_by_other_process
from tests.patience import patience

# Everything by which files are changed. Each call is a step at which a process may be killed.
STEPS = (
    *((Path, name) for name in ("mkdir", "rename", "replace", "unlink", "rmdir", "chmod")),
    *((os, name) for name in ("rmdir", "unlink", "rename", "fsync", "chmod")),
    (generations, "exchange"),
    (making, "rename_to_new"),
    (exchange_module, "exchange"),
)


class _Killed(BaseException):
    """The process ends here: nothing that it would still have done is done."""


def make(profile: Path, content: str = "old") -> Path:
    profile.mkdir(parents=True)
    write(profile, content)
    return profile


def write(profile: Path, content: str) -> None:
    with contextlib.closing(sqlite3.connect(profile / "cookies.sqlite")) as database, database:
        database.execute("CREATE TABLE moz_cookies (value)")
        database.execute("INSERT INTO moz_cookies VALUES (?)", (content,))
    (profile / "prefs.js").write_text(content)


def content_of(profile: Path) -> str:
    """Return what a profile holds. Fails unless all of it is of one generation, and its database is sound."""
    with contextlib.closing(sqlite3.connect(profile / "cookies.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (value,) = database.execute("SELECT value FROM moz_cookies").fetchone()
    assert (profile / "prefs.js").read_text() == value
    return str(value)


def files_of(profile: Path) -> dict[str, bytes]:
    """Return what is in a profile, except the mark of its generation."""
    return {
        str(path.relative_to(profile)): path.read_bytes()
        for path in sorted(profile.rglob("*"))
        if path.is_file() and not path.name.startswith(Path(GENERATION_FILE).stem)
    }


def commit(profile: Path, content: str) -> int:
    with open_writing(profile, "test") as writing:
        write(writing.new, content)
        writing.commit()
    return writing.generation.number


@contextlib.contextmanager
def failing_at(step: int, failure: Callable[[], BaseException], *, for_good: bool) -> Iterator[None]:
    """Raise in place of change number `step` of files; `for_good` in place of all that follow, too."""
    count = iter(range(10**9))

    def failing(change: Callable[..., object]) -> Callable[..., object]:
        def change_or_fail(*args: object, **kwargs: object) -> object:
            number = next(count)
            if number == step or (for_good and number > step):
                raise failure()
            return change(*args, **kwargs)

        return change_or_fail

    with pytest.MonkeyPatch.context() as patched:
        for place, name in STEPS:
            patched.setattr(place, name, failing(getattr(place, name)))
        yield


def whole(profile: Path) -> None:
    """Fail unless every generation beside the profile is whole, and nothing else is there."""
    for path in history_folder(profile).iterdir() if history_folder(profile).exists() else ():
        content_of(path)
        assert path.name.isdecimal()


def test_commit_takes_the_place_of_the_profile_and_keeps_what_was(tmp_path: Path) -> None:
    """The old generation is kept as it was, under its number; the profile's path never changes."""
    profile = make(tmp_path / "user_data")
    before = files_of(profile)
    assert current(profile) is None
    assert commit(profile, "new") == 2
    assert content_of(profile) == "new"
    assert files_of(directory_of(profile, 1)) == before
    [now, old] = history(profile)
    assert (now.number, now.by, old.number, old.by) == (2, "test", 1, None)
    assert now.committed_at is not None
    assert datetime.now(UTC) - now.committed_at < timedelta(minutes=1)
    assert history_folder(profile).stat().st_mode & 0o777 == 0o700
    assert profile.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {"user_data", "user_data.generations"}


def test_first_commit_to_an_empty_profile_leaves_no_earlier_one(tmp_path: Path) -> None:
    """There was nothing to go back to."""
    profile = tmp_path / "user_data"
    profile.mkdir()
    assert commit(profile, "new") == 1
    assert (content_of(profile), list(history_folder(profile).iterdir())) == ("new", [])


def test_what_is_not_committed_changes_nothing(tmp_path: Path) -> None:
    """Whatever was written is removed."""
    profile = make(tmp_path / "user_data")
    before = files_of(profile)
    with open_writing(profile, "test") as writing:
        write(writing.new, "new")
    assert files_of(profile) == before
    assert current(profile) is None
    assert list(history_folder(profile).iterdir()) == []


def test_old_generation_outlives_an_interrupt_right_after_the_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was the profile until then is not taken for something unfinished."""
    profile = make(tmp_path / "user_data")

    def exchange_and_stop(one: Path, other: Path) -> None:
        exchange_module.exchange(one, other)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(generations, "exchange", exchange_and_stop)
        with pytest.raises(KeyboardInterrupt):
            commit(profile, "new")
    assert content_of(profile) == "new"
    assert commit(profile, "newer") == 3
    assert [content_of(directory_of(profile, number)) for number in (1, 2)] == ["old", "new"]


def test_profile_that_is_a_link_stays_one(tmp_path: Path) -> None:
    """What it leads to is replaced."""
    profile = make(tmp_path / "disk" / "real")
    (tmp_path / "user_data").symlink_to(profile)
    commit(tmp_path / "user_data", "new")
    assert (tmp_path / "user_data").readlink() == profile
    assert content_of(tmp_path / "user_data") == "new"
    assert content_of(directory_of(tmp_path / "user_data", 1)) == "old"
    with open_writing(profile, "one"), pytest.raises(ProfileLocked) as held:
        commit(tmp_path / "user_data", "another")
    assert held.value.holder is not None
    assert held.value.holder.program == "one"


def test_last_generations_are_kept(tmp_path: Path) -> None:
    """So many before the current one; `prune` removes more of them."""
    profile = make(tmp_path / "user_data", "1")
    for number in range(2, 10):
        commit(profile, str(number))
    assert [one.number for one in history(profile)] == [9, 8, 7, 6, 5, 4]
    assert len(history(profile)) == KEPT + 1
    assert prune(profile, 2, "test") == [6, 5, 4]
    assert [one.number for one in history(profile)] == [9, 8, 7]
    assert content_of(directory_of(profile, 8)) == "8"


def test_rollback_makes_an_earlier_generation_current(tmp_path: Path) -> None:
    """The one before, or any; what was current is kept, and the next commit gets a number of its own."""
    profile = make(tmp_path / "user_data", "1")
    for number in (2, 3):
        commit(profile, str(number))
    assert roll_back(profile, None, "test").number == 2
    assert content_of(profile) == "2"
    assert roll_back(profile, None, "test").number == 1
    assert roll_back(profile, 3, "test").number == 3
    assert content_of(profile) == "3"
    roll_back(profile, 1, "test")
    assert commit(profile, "4") == 4
    assert [content_of(directory_of(profile, number)) for number in (1, 2, 3)] == ["1", "2", "3"]
    for number in (4, 17):
        with pytest.raises(ProfileNotReplaced, match="There are: 1, 2, 3"):
            roll_back(profile, number, "test")


def test_profile_that_somebody_put_there_gets_a_number_of_its_own(tmp_path: Path) -> None:
    """A plain one, or a copy of an earlier generation."""
    profile = make(tmp_path / "user_data", "1")
    commit(profile, "2")
    shutil.rmtree(profile)
    make(profile, "plain")
    assert commit(profile, "3") == 3
    assert content_of(directory_of(profile, 2)) == "plain"
    shutil.rmtree(profile)
    shutil.copytree(directory_of(profile, 1), profile)
    assert commit(profile, "4") == 4
    assert [content_of(directory_of(profile, number)) for number in (1, 2, 3)] == ["1", "plain", "1"]


@pytest.mark.parametrize("change", ["commit", "rollback", "prune"])
def test_writer_that_is_killed_at_any_step_leaves_a_whole_profile(tmp_path: Path, change: str) -> None:
    """The old one or the new one; the next writer puts the rest in order."""
    step, found = 0, set()
    while True:
        profile = make(tmp_path / str(step) / "user_data", "1")
        commit(profile, "2")
        commit(profile, "3")
        is_done = False
        with contextlib.suppress(_Killed), failing_at(step, _Killed, for_good=True):
            if change == "commit":
                commit(profile, "4")
            elif change == "rollback":
                roll_back(profile, 1, "test")
            else:
                prune(profile, 0, "test")
            is_done = True
        found.add(content_of(profile))
        for second in (1, 4):  # recovery may be killed, too
            with contextlib.suppress(_Killed), failing_at(second, _Killed, for_good=True):
                prune(profile, KEPT, "test")
            content_of(profile)
        prune(profile, KEPT, "test")
        whole(profile)
        if is_done:
            break
        step += 1
        shutil.rmtree(profile.parent)
    assert step > 8
    assert found == {"commit": {"3", "4"}, "rollback": {"3", "1"}, "prune": {"3"}}[change]


def test_disk_that_is_full_at_any_step_changes_nothing(tmp_path: Path) -> None:
    """Unless the new generation is in place already: then what is left to do waits for the next writer."""
    step = 0
    while True:
        profile = make(tmp_path / str(step) / "user_data")
        is_refused = True
        with (
            failing_at(step, lambda: OSError(errno.ENOSPC, "No space left on device"), for_good=False),
            contextlib.suppress(ProfileNotReplaced),
        ):
            commit(profile, "new")
            is_refused = False
        assert content_of(profile) == ("old" if is_refused else "new"), step
        if is_refused:
            assert list(history_folder(profile).glob("*")) == [], step
        with open_writing(profile, "test"):
            pass
        whole(profile)
        if not is_refused and step > 40:
            break
        step += 1


def test_damaged_database_is_not_committed(tmp_path: Path) -> None:
    """Whether it is rotten, cut off or no database any more. An empty file is one that was never used."""
    profile = make(tmp_path / "user_data")
    for rot in (b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 5000):
        with open_writing(profile, "test") as writing:
            write(writing.new, "new")
            (writing.new / "storage").mkdir()
            (writing.new / "storage" / "x.sqlite").write_bytes(rot)
            with pytest.raises(ProfileNotReplaced, match="damaged") as refused:
                writing.commit()
        assert (refused.value.detail or "").startswith("storage/x.sqlite: ")
    assert content_of(profile) == "old"
    with open_writing(profile, "test") as writing:
        write(writing.new, "new")
        (writing.new / "key4.db").touch()
        (writing.new / "other.db").write_bytes(b"of something else")
        writing.commit()
    assert content_of(profile) == "new"


def test_what_a_browser_has_not_yet_put_into_its_database_counts(tmp_path: Path) -> None:
    """A write-ahead log is part of the database."""
    profile = make(tmp_path / "user_data")
    source = make(tmp_path / "source")
    with contextlib.closing(sqlite3.connect(source / "cookies.sqlite")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("UPDATE moz_cookies SET value = 'new'")
        database.commit()
        (source / "prefs.js").write_text("new")
        with open_writing(profile, "test") as writing:
            shutil.copytree(source, writing.new, dirs_exist_ok=True)
            writing.commit()
    assert content_of(profile) == "new"


def test_profile_that_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Another program has used it; its work is not lost."""
    profile = make(tmp_path / "user_data")
    with open_writing(profile, "test") as writing:
        write(writing.new, "new")
        (profile / "bookmarks").write_text("added")
        with pytest.raises(ProfileNotReplaced, match="meanwhile"):
            writing.commit()
    assert content_of(profile) == "old"


def test_profile_that_a_browser_has_is_not_written(tmp_path: Path) -> None:
    """The refusal names the browser's process."""
    profile = make(tmp_path / "user_data")
    with locked_by_other_process(profile), pytest.raises(ProfileLocked) as refused:
        commit(profile, "new")
    assert refused.value.holder is not None
    assert "python" in refused.value.holder.program
    assert refused.value.holder.pid > 1
    assert content_of(profile) == "old"


def test_profile_that_a_browser_opens_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even at the last moment, after all checks."""
    profile = make(tmp_path / "user_data")
    (profile / ".parentlock").touch()
    with contextlib.ExitStack() as stack, open_writing(profile, "test") as writing:
        write(writing.new, "new")
        really_extend = lease.extend

        def extend(leases: contextlib.ExitStack, directory: Path) -> None:
            stack.enter_context(locked_by_other_process(profile))
            really_extend(leases, directory)

        monkeypatch.setattr(lease, "extend", extend)
        with pytest.raises(ProfileLocked):
            writing.commit()
    assert content_of(profile) == "old"


def test_directory_that_can_not_be_exchanged_is_refused_before_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount point, or a filesystem that can't; the text says what to do."""
    profile = make(tmp_path / "user_data")
    with monkeypatch.context() as patched:
        patched.setattr(os.path, "ismount", lambda _: True)
        with pytest.raises(ProfileNotReplaced, match="a directory below it"):
            commit(profile, "new")

    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(exchange_module, "exchange", refuse)
    with pytest.raises(ProfileNotReplaced, match="a disk of this machine"):
        commit(profile, "new")
    assert content_of(profile) == "old"
    assert list(tmp_path.iterdir()) == [profile]


# Leases


def test_many_read_or_one_writes(tmp_path: Path) -> None:
    """A refusal says who writes, and until when."""
    profile = make(tmp_path / "user_data")
    until = datetime.now(UTC) + timedelta(seconds=60)
    with lease.reading(profile), lease.reading(profile):
        with pytest.raises(ProfileLocked, match="Sessions are being made") as refused:
            commit(profile, "new")
        assert refused.value.holder is None
    with open_writing(profile, "a test", until=until) as writing:
        for attempt in (lease.reading(profile), open_writing(profile, "another")):
            with pytest.raises(ProfileLocked) as held, attempt:
                pass
            holder = held.value.holder
            assert holder is not None
            assert (holder.program, holder.pid, holder.until) == ("a test", os.getpid(), until)
        later = until + timedelta(seconds=60)
        writing.put_off(later)
        write(writing.new, "new")
        writing.commit()
        with pytest.raises(ProfileLocked) as held, lease.reading(profile):  # the new one is held, too
            pass
        assert held.value.holder is not None
        assert (held.value.holder.program, held.value.holder.until) == ("a test", later)
    with lease.reading(profile):
        assert content_of(profile) == "new"
    writing.put_off(later)  # too late
    assert {path.name for path in tmp_path.iterdir()} == {"user_data", "user_data.generations"}


@pytest.mark.parametrize("change", ["commits", "rollbacks"])
def test_readers_find_one_generation_while_others_become_current(tmp_path: Path, change: str) -> None:
    """The old one or the new one, whole, or they are refused. Writers get their turn."""
    profile = make(tmp_path / "user_data", "0")
    contents = ["0", "1", "2", "3", "4", "5"]
    if change == "rollbacks":
        for content in contents[1:]:
            commit(profile, content)
        contents.reverse()
    deadline = time.monotonic() + patience(20)
    seen: set[str] = set()
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set() and time.monotonic() < deadline:
            with contextlib.suppress(ProfileLocked), lease.reading(profile):
                first = content_of(profile)
                assert content_of(profile) == first
                seen.add(first)
            time.sleep(0.05)

    with ThreadPoolExecutor(20) as threads:
        readers = [threads.submit(read) for _ in range(20)]
        done = 0
        while done < 5 and time.monotonic() < deadline:
            if contents[done] in seen:
                with contextlib.suppress(ProfileLocked):
                    if change == "commits":
                        commit(profile, contents[done + 1])
                    else:
                        roll_back(profile, None, "test")
                    done += 1
            time.sleep(0.001)
        is_over.set()
    for reader in readers:
        reader.result()
    assert (done, seen >= set(contents[:5])) == (5, True)
    assert content_of(profile) == contents[5]


def test_lease_of_a_writer_that_died_is_free_at_once(tmp_path: Path) -> None:
    """Only its note is left, which nobody believes any more."""
    profile = make(tmp_path / "user_data")
    program = (
        "import sys, pathlib\n"
        "from greenroom.actors.profile.generations import open_writing\n"
        "with open_writing(pathlib.Path(sys.argv[1]), 'one that dies'):\n"
        "    print('writing', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(profile)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        with pytest.raises(ProfileLocked) as held, lease.reading(profile):
            pass
        assert held.value.holder is not None
        assert (held.value.holder.program, held.value.holder.pid) == ("one that dies", writer.pid)
        writer.kill()
    with lease.reading(profile), pytest.raises(ProfileLocked) as refused:
        commit(profile, "new")
    assert refused.value.holder is None
    commit(profile, "new")
    whole(profile)


def killed_while_making(profile: Path) -> None:
    """Have a process make a profile, begin its next generation, and be killed."""
    program = (
        "import os, sys, pathlib, signal\n"
        "from greenroom.actors.profile.generations import open_writing\n"
        "with open_writing(pathlib.Path(sys.argv[1]), 'one that dies', may_be_new=True) as writing:\n"
        "    (writing.new / 'prefs.js').write_text('new')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(profile)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_profile_whose_maker_died_is_removed_if_nobody_has_used_it(tmp_path: Path) -> None:
    """An empty one that somebody made on purpose stays, and so does one that is in use."""
    shop, store = tmp_path / "shop", tmp_path / "store"
    killed_while_making(shop)
    assert list(shop.iterdir()) == []
    with open_writing(shop, "another", may_be_new=True):
        assert not remove_abandoned(shop)
    assert list(tmp_path.iterdir()) == []  # that one has taken its maker's place
    killed_while_making(shop)
    with lease.reading(shop):
        assert not remove_abandoned(shop)
    assert remove_abandoned(shop)
    assert not remove_abandoned(shop)
    assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []
    killed_while_making(store)
    store.rmdir()
    shutil.rmtree(history_folder(store))
    assert ProfileStore(default=shop, folder=tmp_path).make("store") == store
    assert not remove_abandoned(store)
    make(shop)
    assert not remove_abandoned(shop)
    assert {store, shop} == set(tmp_path.iterdir())


def test_many_make_a_profile_at_once_and_one_of_them_has_it(tmp_path: Path) -> None:
    """The others are refused. Nobody removes what somebody else has, and nothing stays."""
    profile = tmp_path / "store" / "shop"
    profile.parent.mkdir()

    def make_and_leave(_: int) -> bool:
        try:
            with open_writing(profile, "test", may_be_new=True) as writing:
                time.sleep(0.001)
                assert profile.is_dir()
                assert writing.new.is_dir()
        except ProfileLocked:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        had_it = list(threads.map(make_and_leave, range(400)))
    assert any(had_it)
    assert list(profile.parent.iterdir()) == []


def test_who_loses_the_making_of_a_profile_is_told_who_has_it_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another makes it between the look and the making: the one that is there counts."""
    profile = tmp_path / "shop"
    with contextlib.ExitStack() as winner:
        really_extend = lease.extend

        def extend(leases: contextlib.ExitStack, directory: Path) -> None:
            monkeypatch.setattr(lease, "extend", really_extend)
            winner.enter_context(open_writing(profile, "the winner", may_be_new=True))
            really_extend(leases, directory)

        monkeypatch.setattr(lease, "extend", extend)
        with pytest.raises(ProfileLocked) as refused, open_writing(profile, "test", may_be_new=True):
            pass
        assert refused.value.holder is not None
        assert refused.value.holder.program == "the winner"
        assert profile.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_new_profile_is_held_before_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can come upon one that its maker does not have yet."""
    profile = tmp_path / "shop"

    def rename(one: Path, other: Path) -> None:
        exchange_module.rename_to_new(one, other)
        with pytest.raises(ProfileLocked), lease.reading(other):
            pass

    monkeypatch.setattr(making, "rename_to_new", rename)
    with open_writing(profile, "test", may_be_new=True) as writing:
        write(writing.new, "new")
        writing.commit()
        with pytest.raises(ProfileLocked), lease.reading(profile):
            pass
    with lease.reading(profile):
        assert content_of(profile) == "new"
    whole(profile)


def test_profile_is_made_where_the_filesystem_can_only_rename_over_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a plain directory, which goes again if nothing is committed."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    profile = tmp_path / "store" / "shop"
    monkeypatch.setattr(making, "rename_to_new", refuse)
    with open_writing(profile, "test", may_be_new=True):
        assert list(profile.parent.glob(".greenroom-*")) == []
        with pytest.raises(ProfileLocked), lease.reading(profile):
            pass
    assert list(tmp_path.iterdir()) == []
    with open_writing(profile, "test", may_be_new=True) as writing:
        write(writing.new, "new")
        writing.commit()
    assert content_of(profile) == "new"


def test_note_that_can_not_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the refusals say less."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    profile = make(tmp_path / "user_data")
    monkeypatch.setattr(Path, "write_bytes", refuse)
    holder = ProfileHolder(program="a test", pid=1)
    with lease.writing(profile, holder), pytest.raises(ProfileLocked) as refused, lease.reading(profile):
        pass
    assert refused.value.holder is None


# Any story


class Profiles(RuleBasedStateMachine):
    """Commits, rollbacks and kills in any order, against a model of what must then be there."""

    def __init__(self) -> None:
        super().__init__()
        self.place = contextlib.ExitStack()
        self.count = 0

    @initialize()
    def begin(self) -> None:
        import tempfile  # noqa: PLC0415  # only here

        folder = self.place.enter_context(tempfile.TemporaryDirectory())
        self.profile = make(Path(folder, "user_data"), "0")
        self.may_be = {"0"}
        self.seen = {"0"}

    def teardown(self) -> None:
        self.place.close()

    @rule()
    def commit(self) -> None:
        self.count += 1
        commit(self.profile, str(self.count))
        self.may_be = {str(self.count)}
        self.seen |= self.may_be

    @precondition(lambda self: len(history(self.profile)) > 1)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        shown = current(self.profile)
        choices = [one.number for one in history(self.profile) if one != shown]
        wanted = data.draw(st.sampled_from(choices))
        expected = content_of(directory_of(self.profile, wanted))
        roll_back(self.profile, wanted, "test")
        self.may_be = {expected}

    @rule(step=st.integers(0, 40), backwards=st.booleans())
    def be_killed(self, step: int, backwards: bool) -> None:
        self.count += 1
        before = content_of(self.profile)
        with contextlib.suppress(_Killed, ProfileNotReplaced), failing_at(step, _Killed, for_good=True):
            if backwards:
                roll_back(self.profile, None, "test")
            else:
                commit(self.profile, str(self.count))
        self.may_be = self.seen if backwards else {before, str(self.count)}
        self.seen |= {content_of(self.profile)}

    @rule()
    def prune(self) -> None:
        prune(self.profile, 1, "test")
        assert len(history(self.profile)) <= 2
        whole(self.profile)

    @invariant()
    def profile_is_whole(self) -> None:
        if hasattr(self, "profile"):
            assert content_of(self.profile) in self.may_be


Profiles.TestCase.settings = settings(max_examples=settings().max_examples // 3, stateful_step_count=15)
TestProfiles = pytest.mark.hypothesis(Profiles.TestCase)
