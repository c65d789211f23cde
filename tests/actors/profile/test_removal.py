"""A clone is removed, whatever is in it, even while a process still writes to it."""

import os
import resource
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.errors import CloneFailed
from greenroom.actors.profile import removal
from greenroom.actors.profile.removal import is_gone, remove_tree
from tests.actors.profile.profile_trees import deep_tree, make_profile, snapshot, unprivileged_directory


def test_clone_with_content_is_removed(tmp_path: Path) -> None:
    """A directory is removed with everything in it."""
    remove_tree(make_profile(tmp_path / "clone"))
    assert not any(tmp_path.iterdir())


def test_clone_that_is_gone_is_fine(tmp_path: Path) -> None:
    """Removing a missing path succeeds."""
    remove_tree(tmp_path / "clone")


def test_tree_3000_deep_is_removed_with_few_descriptors(tmp_path: Path) -> None:
    """Depth needs neither recursion nor a descriptor per level."""
    with deep_tree(tmp_path / "clone", 3_000):
        open_now = len(list(Path("/proc/self/fd").iterdir()))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 4, hard))
        try:
            remove_tree(tmp_path / "clone")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert not any(tmp_path.iterdir())


def test_what_is_no_directory_is_removed_as_it_is(tmp_path: Path) -> None:
    """A file, a FIFO and a symlink are removed; the symlink's target stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(outside)
    for name in ("file", "fifo", "link"):
        remove_tree(tmp_path / name)
    assert list(tmp_path.iterdir()) == [outside]


def test_mode_000_at_any_depth_is_removed() -> None:
    """Directories that their owner may neither read nor write, nested in each other, are removed."""
    with unprivileged_directory() as home:
        inner = home / "clone" / "a" / "b" / "c"
        inner.mkdir(parents=True)
        (inner / "file").touch(0o000)
        for path, mode in ((inner, 0), (inner.parent, 0o300), (inner.parents[1], 0o500), (home / "clone", 0)):
            path.chmod(mode)
        remove_tree(home / "clone")
        assert list(home.iterdir()) == []


def test_directory_moved_away_while_it_is_removed_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If ".." no longer leads back to where the removal came from, nothing outside is removed."""
    outside = make_profile(tmp_path / "outside")
    clone = tmp_path / "clone"
    (clone / "a" / "b").mkdir(parents=True)
    (tmp_path / "a").mkdir()  # what has the same name where the way up would lead
    scandir: Callable[..., Any] = os.scandir

    def scan_and_move(directory: int) -> Any:
        if directory_is(directory, clone / "a" / "b"):
            (clone / "a" / "b").rename(outside / "b")
        return scandir(directory)

    monkeypatch.setattr(os, "scandir", scan_and_move)
    remove_tree(clone)
    assert not clone.exists()
    assert (outside / "prefs.js").exists()
    assert (tmp_path / "a").exists()


def directory_is(descriptor: int, path: Path) -> bool:
    """Return whether a descriptor is of the directory at `path`."""
    return path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())


def test_what_cant_be_removed_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything around a stubborn directory is removed, and the error's detail gives the cause."""
    monkeypatch.setattr(removal, "_PAUSE_S", 0)
    clone = make_profile(tmp_path / "clone")
    (clone / "stubborn").mkdir()
    rmdir: Callable[..., None] = os.rmdir

    def refuse(path: str, *, dir_fd: int) -> None:
        if path == "stubborn":
            raise OSError(16, "Device or resource busy", path)
        rmdir(path, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", refuse)
        with pytest.raises(CloneFailed) as caught:
            remove_tree(clone)
    assert [path.name for path in clone.iterdir()] == ["stubborn"]
    assert "'stubborn'" in str(caught.value.detail)


def test_what_cant_be_seen_is_not_gone() -> None:
    """If the path can't be read, something may be left."""
    with unprivileged_directory() as home:
        clone = home / "locked" / "clone"
        clone.mkdir(parents=True)
        assert not is_gone(clone)
        clone.parent.chmod(0)
        assert not is_gone(clone)
        clone.parent.chmod(0o700)
        clone.rmdir()
        assert is_gone(clone)


def test_symlinks_out_of_the_clone_are_not_followed(tmp_path: Path) -> None:
    """A link to a directory elsewhere is removed, and its target is not."""
    outside = make_profile(tmp_path / "outside")
    before = snapshot(outside)
    clone = make_profile(tmp_path / "clone")
    (clone / "way-out").symlink_to(outside)
    remove_tree(clone)
    assert not clone.exists()
    assert snapshot(outside) == before


def test_directories_without_permissions_are_removed() -> None:
    """Directories that even their owner may not read get permissions; those outside keep their modes."""
    with unprivileged_directory() as home:
        outside = home / "outside"
        outside.mkdir()
        clone = make_profile(home / "clone")
        (clone / "way-out").symlink_to(outside)
        outside.chmod(0o500)
        for path in ("storage/default", "storage", "startupCache", "."):
            (clone / path).chmod(0)
        remove_tree(clone)
        assert not clone.exists()
        assert outside.stat().st_mode & 0o777 == 0o500


def test_dying_browser_that_still_writes_does_not_keep_the_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that appear during the removal are removed too, in further rounds."""
    clone = make_profile(tmp_path / "clone")
    late = ["c", "b", "a"]
    rmdir: Callable[..., None] = os.rmdir

    def rmdir_too_late(path: str | Path, *, dir_fd: int | None = None) -> None:
        if Path(path).name == clone.name and late:
            (clone / late.pop()).touch()
        rmdir(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", rmdir_too_late)
    remove_tree(clone)
    assert not late
    assert not clone.exists()


def test_browser_that_writes_and_removes_files_does_not_keep_the_clone(tmp_path: Path) -> None:
    """A browser that keeps creating and deleting files doesn't prevent the clone's removal."""
    clone = make_profile(tmp_path / "clone")
    started = threading.Event()

    def work() -> None:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            with suppress(OSError):
                (clone / "storage").mkdir(exist_ok=True)
                file = clone / "storage" / str(time.monotonic_ns())
                file.touch()
                file.rename(file.with_suffix(".done"))
            started.set()

    browser = threading.Thread(target=work)
    browser.start()
    started.wait()
    remove_tree(clone)
    browser.join()
    assert not clone.exists()


def test_clone_that_can_not_be_removed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last attempt an error is raised, with the path only in the detail."""

    def refuse(path: str, *, dir_fd: int) -> None:
        raise OSError(16, "Device or resource busy", path)

    monkeypatch.setattr(os, "rmdir", refuse)
    monkeypatch.setattr(removal, "_PAUSE_S", 0)
    with pytest.raises(CloneFailed) as failure:
        remove_tree(tmp_path)
    assert str(tmp_path) not in str(failure.value)
    assert str(tmp_path) in str(failure.value.detail)
