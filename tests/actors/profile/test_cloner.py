"""A session's clone is complete, private and removed afterwards; and everything that can go wrong with it."""

import errno
import os
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from structlog.testing import capture_logs

from greenroom.actors.errors import (
    CloneFailed,
    GreenroomError,
    NotAProfile,
    NotLoggedIn,
    ProfileLocked,
    ProfileUnusable,
)
from greenroom.actors.profile import NOT_CLONED, ProfileCloner, removal
from greenroom.actors.profile import cloner as clones
from greenroom.actors.profile import copy as copy_module
from greenroom.actors.profile.copy import MARKS, Progress, copy_profile
from greenroom.actors.profile.generations import open_writing
from greenroom.actors.resources import disk_usage
from greenroom.actors.verdict import LoginState
from tests.actors.profile.profile_trees import deep_tree, make_profile, snapshot, unprivileged_directory
from tests.patience import patience

ErrorT = TypeVar("ErrorT", bound=GreenroomError)


@pytest.fixture
def master(tmp_path: Path) -> Path:
    """Return a master profile that nobody uses."""
    return make_profile(tmp_path / "master")


@pytest.fixture
def cloner(master: Path, tmp_path: Path) -> ProfileCloner:
    """Return a cloner of `master`."""
    return ProfileCloner(master=master, clones_dir=tmp_path / "state" / "clones")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root and the right to mount")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def files(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return mtime and content of the regular files below `root`, by relative path."""
    return {
        name: (mtime_ns, content)
        for name, (mode, mtime_ns, content) in snapshot(root).items()
        if stat.S_ISREG(mode)
    }


def remains(cloner: ProfileCloner) -> list[str]:
    """Return the names in the clones directory, if there is one."""
    return [path.name for path in cloner.clones_dir.iterdir()] if cloner.clones_dir.is_dir() else []


async def refusal(cloner: ProfileCloner, kind: type[ErrorT]) -> ErrorT:
    """Return the error of a failed clone that left nothing, changed nothing and revealed no path."""
    before = snapshot(cloner.master) if cloner.master.is_dir() else None
    with pytest.raises(kind) as refused:
        async with cloner.open_clone("refused"):
            pytest.fail("there is a clone")
    assert remains(cloner) == []
    assert before is None or snapshot(cloner.master) == before
    assert "/" not in str(refused.value)
    return refused.value


async def test_clone_holds_the_profile_and_is_removed(cloner: ProfileCloner) -> None:
    """During the block, the clone has the master's files with their mtimes, but not the lock marks."""
    before, wanted = snapshot(cloner.master), files(cloner.master)
    del wanted[".parentlock"]
    async with cloner.open_clone("a") as clone:
        assert clone == cloner.clones_dir / "a"
        assert files(clone) == wanted
        assert not (clone / "lock").is_symlink()
    assert remains(cloner) == []
    assert snapshot(cloner.master) == before


async def test_clone_is_private_to_its_owner(cloner: ProfileCloner) -> None:
    """Group and others get no access, not even above the clone; the owner may read and write everything."""
    (cloner.master / "prefs.js").chmod(0o644)
    (cloner.master / "read-only").touch(0o444)
    (cloner.master / "tool").touch(0o755)
    (cloner.master / "storage").chmod(0o755)
    async with cloner.open_clone("a") as clone:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (clone, *clone.rglob("*"))}
        assert modes["a"] == modes["storage"] == 0o700
        assert (modes["prefs.js"], modes["read-only"], modes["tool"]) == (0o600, 0o600, 0o700)
        assert not any(mode & 0o077 for mode in modes.values())
        for made in (cloner.clones_dir, cloner.clones_dir.parent):
            assert stat.S_IMODE(made.stat().st_mode) == 0o700


async def test_clone_is_private_while_it_is_copied(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no moment at which others could read a clone."""
    modes: list[int] = []
    monkeypatch.setattr(
        clones, "copy_profile", lambda _, clone, *__: modes.append(clone.stat().st_mode & 0o777)
    )
    async with cloner.open_clone("a"):
        assert modes == [0o700]


async def test_names_not_cloned_are_left_out_at_the_top_only(cloner: ProfileCloner) -> None:
    """Caches, crash dumps and lock marks are left out; deeper down, the same names may be a site's data."""
    for name in NOT_CLONED - {"lock", ".parentlock"}:
        (cloner.master / name).mkdir()
        (cloner.master / name / "file").touch()
        (cloner.master / "storage" / name).mkdir()
    async with cloner.open_clone("a") as clone:
        assert {path.name for path in clone.iterdir()} == {
            "cookies.sqlite",
            "prefs.js",
            "startupCache",
            "storage",
        }
        assert {path.name for path in (clone / "storage").iterdir()} > {"cache2", "minidumps"}


async def test_symlinked_content_is_copied(cloner: ProfileCloner, tmp_path: Path) -> None:
    """A clone has the content that the master's symlinks lead to; it has no symlinks, not even dangling."""
    elsewhere = make_profile(tmp_path / "elsewhere")
    (cloner.master / "linked.js").symlink_to(elsewhere / "prefs.js")
    (cloner.master / "linked").symlink_to(elsewhere / "storage")
    (cloner.master / "dangling").symlink_to(elsewhere / "missing")
    (cloner.master / "below-a-file").symlink_to(elsewhere / "prefs.js" / "missing")
    async with cloner.open_clone("a") as clone:
        (clone / "linked" / "default" / "data.sqlite").write_bytes(b"changed in the clone")
        assert (clone / "linked.js").read_bytes() == (elsewhere / "prefs.js").read_bytes()
        assert not any(path.is_symlink() for path in clone.rglob("*"))
        assert not (clone / "dangling").exists()
        assert not (clone / "below-a-file").exists()
    assert (elsewhere / "storage" / "default" / "data.sqlite").read_bytes() == b"data"


async def test_master_that_is_a_symlink_is_cloned(cloner: ProfileCloner, tmp_path: Path) -> None:
    """The master may be a symlink to a directory."""
    link = tmp_path / "link"
    link.symlink_to(cloner.master)
    async with ProfileCloner(master=link, clones_dir=cloner.clones_dir).open_clone("a") as clone:
        assert not clone.is_symlink()
        assert (clone / "prefs.js").read_bytes() == (cloner.master / "prefs.js").read_bytes()


async def test_master_that_somebody_writes_is_locked(cloner: ProfileCloner) -> None:
    """The refusal says who. A copy keeps writers out in turn, and a clone that is made nobody."""
    with open_writing(cloner.master, "greenroom login"):
        with pytest.raises(ProfileLocked):
            cloner.look()  # as checks and warm sessions do
        with pytest.raises(ProfileLocked) as refused:
            async with cloner.open_clone("a"):
                pass
    assert refused.value.holder is not None
    assert refused.value.holder.program == "greenroom login"
    async with cloner.open_clone("a"):
        with open_writing(cloner.master, "greenroom login"):
            pass


async def test_two_clones_at_once_are_independent(cloner: ProfileCloner) -> None:
    """Each session has its own files, and ending one leaves the other's."""
    before = snapshot(cloner.master)
    async with cloner.open_clone("a") as first:
        async with cloner.open_clone("b") as second:
            (second / "prefs.js").write_text("changed")
            assert (first / "prefs.js").read_bytes() == (cloner.master / "prefs.js").read_bytes()
        assert remains(cloner) == ["a"]
        assert files(first)
    assert remains(cloner) == []
    assert snapshot(cloner.master) == before


async def test_many_clones_at_once_are_all_made(cloner: ProfileCloner) -> None:
    """Clones beyond the limit of concurrent copies wait for their turn."""

    async def hold(session_id: str) -> None:
        async with cloner.open_clone(session_id):
            entered.append(session_id)
            if len(entered) == 5:
                everyone.set()
            await everyone.wait()

    entered: list[str] = []
    everyone = trio.Event()
    with trio.fail_after(patience(10)):
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(hold, str(number))
    assert remains(cloner) == []


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
async def test_files_the_kernel_does_not_copy_are_copied_by_hand(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """If copy_file_range does not work, reading and writing does, also for large files."""
    (cloner.master / "large").write_bytes(os.urandom(3 << 20))

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    async with cloner.open_clone("a") as clone:
        assert (clone / "large").read_bytes() == (cloner.master / "large").read_bytes()
        assert (clone / "cookies.sqlite").read_bytes() == (cloner.master / "cookies.sqlite").read_bytes()


@pytest.mark.parametrize("growth", [1 << 20, -(1 << 20)], ids=["grows", "shrinks"])
async def test_file_that_changes_its_size_does_not_hold_up_the_copy(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch, growth: int
) -> None:
    """A file that grows during the copy is copied up to its first size; one that shrinks, to its end.

    Neither results in a clone: the cloner tries again, and then reports that the master is in use.
    """
    large = cloner.master / "large"
    large.write_bytes(bytes(8 << 20))
    copy_range: Callable[..., int] = os.copy_file_range

    def copy_and_resize(reader: int, writer: int, count: int, start: int, at: int) -> int:
        if os.path.sameopenfile(reader, watched.fileno()):
            os.truncate(large, large.stat().st_size + growth)
        return copy_range(reader, writer, count, start, at)

    monkeypatch.setattr(os, "copy_file_range", copy_and_resize)
    target = cloner.master.with_name("copy")
    target.mkdir()
    with large.open("rb") as watched, trio.fail_after(patience(10)):
        await trio.to_thread.run_sync(copy_profile, cloner.master, target, Progress())
        assert (target / "large").stat().st_size == (8 << 20 if growth > 0 else 3 << 20)
        os.truncate(large, 8 << 20)
        with pytest.raises(ProfileLocked, match="changes while it is copied"):
            async with cloner.open_clone("a"):
                pytest.fail("a torn copy was handed out")
    assert remains(cloner) == []


async def test_holes_stay_holes(cloner: ProfileCloner) -> None:
    """Holes read as zeros, don't end a file, and take no space in a clone, in the middle or at the end."""
    with (cloner.master / "sparse").open("wb") as file:
        file.seek(3 << 30)
        file.write(b"after the hole")
        file.truncate(5 << 30)
    (cloner.master / "hole").touch()
    os.truncate(cloner.master / "hole", 1 << 30)
    with trio.fail_after(patience(5)):
        async with cloner.open_clone("a") as clone:
            assert (clone / "sparse").stat().st_size == 5 << 30
            assert (clone / "hole").stat().st_size == 1 << 30
            assert disk_usage(clone) < 1 << 20
            with (clone / "sparse").open("rb") as copied:
                assert copied.read(100) == bytes(100)
                copied.seek(3 << 30)
                assert copied.read(20) == b"after the hole" + bytes(6)


Swap = Callable[[Path, Path], None]


def swap_directories(master: Path, other: Path) -> None:
    """Put another profile in the master's place, as somebody who restores a backup does."""
    master.rename(master.with_name("aside"))
    other.rename(master)
    master.with_name("aside").rename(other)


def swap_files(master: Path, other: Path) -> None:
    """Replace the master's files with another profile's of the same names, sizes and times."""
    for path in other.rglob("*.sqlite"):
        target = master / path.relative_to(other)
        status = target.stat()
        target.write_bytes(path.read_bytes())
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def make_other(master: Path) -> Path:
    """Make a profile that differs from the master only in the content of two files."""
    other = make_profile(master.with_name("other"))
    for name in ("cookies.sqlite", "storage/default/data.sqlite"):
        path = other / name
        path.write_bytes(path.read_bytes()[::-1])
        status = (master / name).stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return other


@pytest.mark.parametrize("swap", [swap_directories, swap_files])
@pytest.mark.parametrize("is_back", [False, True], ids=["stays", "goes back"])
async def test_master_replaced_while_it_is_copied_is_copied_again(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch, swap: Swap, is_back: bool
) -> None:
    """A clone is a copy of one master or the other, never a mix of both."""
    other = make_other(cloner.master)
    kept = make_profile(cloner.master.with_name("kept"))
    before, after = files(kept), files(other)
    copies = copy_and_act(monkeypatch, lambda: swap(cloner.master, other), times=1)
    if is_back:
        copies.last = lambda: swap(cloner.master, other if swap is swap_directories else kept)
    async with cloner.open_clone("a") as clone:
        content = {name: found[1] for name, found in files(clone).items()}
    wanted = before if is_back else after
    assert content == {name: found[1] for name, found in wanted.items() if name in content}
    assert copies.made == 2
    assert remains(cloner) == []


async def test_master_that_is_replaced_again_and_again_is_in_use(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a few tries this counts as a profile in use: 423, and nothing is left."""
    other = make_other(cloner.master)
    copies = copy_and_act(monkeypatch, lambda: swap_directories(cloner.master, other), times=100)
    with pytest.raises(ProfileLocked, match="changes while it is copied"):
        async with cloner.open_clone("a"):
            pytest.fail("a mixture was handed out")
    assert copies.made == 3
    assert remains(cloner) == []


async def test_master_removed_while_it_is_copied_is_missing(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part that was copied until then is not used."""
    copy_and_act(monkeypatch, lambda: shutil.rmtree(cloner.master), times=1)
    with pytest.raises(NotLoggedIn):
        async with cloner.open_clone("a"):
            pytest.fail("half a profile was handed out")
    assert remains(cloner) == []


class Copies:
    """Counts the copies, and knows what to do when the first ones are nearly complete."""

    made = 0
    last: Callable[[], None] = staticmethod(lambda: None)


def copy_and_act(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], times: int) -> Copies:
    """Do something before the second file of each of the first copies."""
    copies = Copies()

    def copy_profile_meanwhile(
        master: Path, clone: Path, progress: Progress, leave_out: frozenset[str]
    ) -> None:
        copies.made += 1
        if copies.made > times:
            copy_profile(master, clone, progress, leave_out)
            return
        at = 0

        def copy_meanwhile(*args: Any) -> None:
            nonlocal at
            at += 1
            if at == 2:
                act()
            copy_file(*args)

        with monkeypatch.context() as patch:
            patch.setattr(copy_module, "_copy_file", copy_meanwhile)
            try:
                copy_profile(master, clone, progress, leave_out)
            finally:
                copies.last()

    copy_file = copy_module._copy_file
    monkeypatch.setattr(clones, "copy_profile", copy_profile_meanwhile)
    return copies


def test_master_that_is_read_only_to_us_is_cloned() -> None:
    """A clone's owner may write to it, whatever the permissions of the master's files."""

    async def clone_it(home: Path) -> None:
        async with ProfileCloner(master=home / "master", clones_dir=home / "clones").open_clone("a") as clone:
            with (clone / "cookies.sqlite").open("r+b") as file:
                file.write(b"new")
            (clone / "storage" / "default" / "new").touch()
        assert list((home / "clones").iterdir()) == []

    with unprivileged_directory() as home:
        master = make_profile(home / "master")
        every = [path for path in (master, *master.rglob("*")) if not path.is_symlink()]
        for path in every:
            path.chmod(path.stat().st_mode & ~0o222)
        before = snapshot(master)
        trio.run(clone_it, home)
        assert snapshot(master) == before
        for path in every:
            path.chmod(path.stat().st_mode | 0o700)


def test_master_behind_a_path_too_long_for_a_browser_is_refused(tmp_path: Path) -> None:
    """No login could be saved there: the error comes at once, and is not a verdict on the login."""
    master = tmp_path
    while (rest := 421 - len(str(master))) > 1:
        master /= "m" * min(rest - 1, 100)
    with pytest.raises(ProfileUnusable, match="a path of 421 bytes, and the limit is 420") as caught:
        ProfileCloner(master=master, clones_dir=tmp_path / "clones")
    assert "/" not in str(caught.value)
    ProfileCloner(master=master.with_name(master.name[:-1]), clones_dir=tmp_path / "clones")
    (tmp_path / "short").symlink_to(master)
    with pytest.raises(ProfileUnusable, match="a path of 421 bytes"):
        ProfileCloner(master=tmp_path / "short", clones_dir=tmp_path / "clones")


async def test_master_that_hangs_is_given_up_at_once(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a check nor a copy delays a caller that gives up, and a partial copy is removed."""
    disk_recovers = threading.Event()

    def hang(*_: object) -> None:
        disk_recovers.wait(patience(10))

    try:
        for module, name in ((clones, "refuse_browser"), (copy_module, "_copy_bytes")):
            with (
                monkeypatch.context() as patch,
                trio.fail_after(patience(5)),
                trio.move_on_after(0.1) as limit,
            ):
                patch.setattr(module, name, hang)
                async with cloner.open_clone("a"):
                    pytest.fail("there is a clone")
            assert limit.cancelled_caught
            assert remains(cloner) == []
    finally:
        disk_recovers.set()


async def test_missing_master_means_not_logged_in(cloner: ProfileCloner, tmp_path: Path) -> None:
    """Without a profile nobody is logged in; the hint says what to do."""
    cloner.master = tmp_path / "missing"
    error = await refusal(cloner, NotLoggedIn)
    assert error.verdict.state is LoginState.LOGGED_OUT
    assert "greenroom login" in error.hint
    assert "/" not in error.hint
    assert not cloner.clones_dir.exists()


async def test_empty_master_means_not_logged_in(cloner: ProfileCloner, tmp_path: Path) -> None:
    """A profile that holds only lock marks is empty."""
    cloner.master = tmp_path / "empty"
    cloner.master.mkdir()
    assert "empty" in (await refusal(cloner, NotLoggedIn)).hint
    (cloner.master / ".parentlock").touch()
    (cloner.master / "lock").symlink_to("127.0.1.1:+1")
    assert "empty" in (await refusal(cloner, NotLoggedIn)).hint


async def test_master_that_is_no_directory_is_unusable(cloner: ProfileCloner) -> None:
    """A file in the master's place can't be cloned."""
    cloner.master /= "prefs.js"
    error = await refusal(cloner, NotAProfile)
    assert "Not a directory" in str(error)
    assert str(cloner.master) in str(error.detail)


async def test_unreadable_content_makes_the_master_unusable() -> None:
    """The error reports a file, directory, lock file or master that its owner may not read."""
    with unprivileged_directory() as home:
        cloner = ProfileCloner(master=make_profile(home / "master"), clones_dir=home / "clones")
        for name in ("prefs.js", "storage", ".parentlock", "."):
            path = cloner.master / name
            mode = path.stat().st_mode
            path.chmod(0)
            with pytest.raises(ProfileUnusable, match="Permission denied") as refused:
                async with cloner.open_clone("a"):
                    pytest.fail("there is a clone")
            path.chmod(mode)
            assert str(path) in str(refused.value.detail)
            assert remains(cloner) == []


@pytest.mark.parametrize("target", ["loop", "..", "../..", "../../state"])
async def test_symlink_loop_makes_the_master_unusable(cloner: ProfileCloner, target: str) -> None:
    """A link to itself, to its own parent, or to the directory of the clone fails the copy."""
    (cloner.master / "storage" / "loop").symlink_to(target)
    error = await refusal(cloner, ProfileUnusable)
    assert "symlink loop" in str(error) or "symbolic links" in str(error)
    assert "loop" in str(error.detail)


async def test_very_deep_directories_make_the_master_unusable(cloner: ProfileCloner) -> None:
    """The depth is bounded well before it would exhaust the stack."""
    with deep_tree(cloner.master / "deep", 1_100), pytest.raises(ProfileUnusable, match="too deeply"):
        async with cloner.open_clone("a"):
            pytest.fail("there is a clone")
    assert remains(cloner) == []


async def test_socket_is_left_out(cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper's leftover socket is dead, and does not prevent cloning."""
    monkeypatch.chdir(cloner.master)  # a socket's address is too short for most paths
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("agent.sock")
    async with cloner.open_clone("a") as clone:
        assert (clone / "prefs.js").exists()
        assert not (clone / "agent.sock").exists()


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("FIFO", os.mkfifo),
        ("device", lambda path: path.symlink_to("/dev/zero")),
    ],
)
async def test_special_file_makes_the_master_unusable(
    cloner: ProfileCloner, kind: str, make: Callable[[Path], None]
) -> None:
    """Anything but files and directories is named and never opened, even behind a symlink."""
    make(cloner.master / "special")
    error = await refusal(cloner, ProfileUnusable)
    assert kind in str(error)
    assert "special" in str(error.detail)


async def test_full_disk_fails_the_clone(cloner: ProfileCloner, small_disk: Path) -> None:
    """A full disk is reported as such, and the partial copy is removed."""
    (cloner.master / "large").write_bytes(bytes(3 << 20))
    cloner.clones_dir = small_disk / "clones"
    error = await refusal(cloner, CloneFailed)
    assert "No space left" in str(error)
    assert str(small_disk) in str(error.detail)


async def test_forbidden_clones_directory_fails_the_clone() -> None:
    """If no clone can be made there, an error is raised and nothing is left."""
    with unprivileged_directory() as home:
        cloner = ProfileCloner(master=make_profile(home / "master"), clones_dir=home / "clones")
        cloner.clones_dir.mkdir(0o500)
        assert "Permission denied" in str(await refusal(cloner, CloneFailed))


async def test_file_as_clones_directory_fails_the_clone(cloner: ProfileCloner, tmp_path: Path) -> None:
    """A file in the way of the clones directory is an error."""
    cloner.clones_dir = tmp_path / "file"
    cloner.clones_dir.touch()
    await refusal(cloner, CloneFailed)


async def test_existing_directory_is_never_reused_nor_removed(cloner: ProfileCloner) -> None:
    """Making a second clone of the same name fails, and leaves the first one alone."""
    async with cloner.open_clone("a") as clone:
        before = snapshot(clone)
        with pytest.raises(CloneFailed, match="exists"):
            async with cloner.open_clone("a"):
                pytest.fail("a directory was used twice")
        assert snapshot(clone) == before


@pytest.mark.parametrize("session_id", ["", ".", "..", "a/b", "../a", "/tmp/a"])
async def test_session_id_that_is_no_file_name_is_refused(cloner: ProfileCloner, session_id: str) -> None:
    """No session id can lead out of the clones directory."""
    with pytest.raises(ValueError, match="file name"):
        async with cloner.open_clone(session_id):
            pytest.fail("there is a clone")


async def test_clones_directory_inside_the_master_is_refused(cloner: ProfileCloner, tmp_path: Path) -> None:
    """The master is never written to, even if the settings point into it through a symlink."""
    before = snapshot(cloner.master)
    link = tmp_path / "link"
    link.symlink_to(cloner.master)
    for inside in (cloner.master / "clones", link / "storage" / "clones"):
        cloner.clones_dir = inside
        await refusal(cloner, CloneFailed)
    assert snapshot(cloner.master) == before


async def test_cancelling_a_copy_is_prompt_and_removes_it(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy stops in the middle of a large file; the file is logged, and its copied part removed."""
    (cloner.master / "huge").write_bytes(b"x" * (20 << 20))
    copied = cloner.clones_dir / "a" / "huge"
    copy_range: Callable[..., int] = os.copy_file_range
    steps = 0

    def copy_slowly(*args: int) -> int:
        nonlocal steps
        steps += copied.exists()
        time.sleep(0.05)
        return copy_range(*args)

    monkeypatch.setattr(os, "copy_file_range", copy_slowly)
    with trio.fail_after(patience(20)), capture_logs() as logs:
        async with trio.open_nursery() as nursery:

            async def clone() -> None:
                async with cloner.open_clone("a"):
                    pytest.fail("the copy was complete")

            nursery.start_soon(clone)
            while steps < 2:  # the first has been counted by then
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
            steps_before = steps
    assert steps - steps_before <= 1  # of 20; the one in which it was told to stop may be its last but one
    assert remains(cloner) == []
    (line,) = logs
    assert (line["session_id"], line["file"]) == ("a", str(cloner.master / "huge"))
    assert 0 < line["copied_bytes"] < line["of_bytes"] == 20 << 20


async def test_cancelling_a_waiting_copy_removes_its_directory(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone that waits for its turn can be cancelled without starting a copy."""
    copies: list[Path] = []
    monkeypatch.setattr(clones, "copy_profile", lambda _, clone, __: copies.append(clone))
    monkeypatch.setattr(clones, "_COPIES_AT_ONCE", 1)
    cloner = ProfileCloner(master=cloner.master, clones_dir=cloner.clones_dir)
    async with cloner._copies:
        with trio.move_on_after(0.1):
            async with cloner.open_clone("a"):
                pytest.fail("there is a clone")
    assert copies == []
    assert remains(cloner) == []


async def test_cancelling_the_block_removes_the_clone(cloner: ProfileCloner) -> None:
    """Cancellation does not keep a clone from being removed."""
    with trio.CancelScope() as scope:
        async with cloner.open_clone("a"):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert remains(cloner) == []


async def test_error_in_the_block_passes_and_removes_the_clone(cloner: ProfileCloner) -> None:
    """The session's own error is not replaced."""
    with pytest.raises(KeyError):
        async with cloner.open_clone("a"):
            raise KeyError
    assert remains(cloner) == []


async def test_removal_that_hangs_is_given_up(cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session's end does not wait forever for a disk that hangs."""
    disk_recovers = threading.Event()
    monkeypatch.setattr(removal, "_IN_TIME_S", 0.05)
    monkeypatch.setattr(removal, "remove_tree", lambda _: disk_recovers.wait(10))
    try:
        with trio.fail_after(patience(5)), pytest.raises(CloneFailed, match="in time"):
            async with cloner.open_clone("a"):
                pass
    finally:
        disk_recovers.set()


async def test_copying_leaves_the_event_loop_free(cloner: ProfileCloner) -> None:
    """Other tasks keep running while a large profile is copied and removed."""
    (cloner.master / "large").write_bytes(b"x" * (64 << 20))
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            began = trio.current_time()
            await trio.lowlevel.checkpoint()
            longest_s = max(longest_s, trio.current_time() - began)
            await trio.sleep(0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        async with cloner.open_clone("a"):
            pass
        nursery.cancel_scope.cancel()
    assert longest_s < 0.1


async def test_what_the_settings_name_is_left_out(cloner: ProfileCloner) -> None:
    """In place of the usual; marks of browsers never come along. Nor does it make a clone out of date."""
    for name in ("cache2", "big"):
        (cloner.master / name).mkdir()
        (cloner.master / name / "file").touch()
    (cloner.master / "lock").touch()
    cloner.leave_out = MARKS | {"big"}
    version = cloner.look_at_version()
    async with cloner.open_clone("a") as clone:
        assert {"cache2", "big", "lock"} & {path.name for path in clone.iterdir()} == {"cache2"}
    (cloner.master / "big" / "file").write_text("changed")
    assert cloner.look_at_version() == version
    (cloner.master / "cache2" / "file").write_text("changed")
    assert cloner.look_at_version() != version
