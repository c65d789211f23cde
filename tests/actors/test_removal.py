"""A clone is removed, whatever is in it and whoever still writes to it."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from actors import removal
from actors.errors import CloneFailed
from actors.removal import remove_tree
from tests.actors.profile_trees import make_profile, snapshot, unprivileged_directory


def test_clone_with_content_is_removed(tmp_path: Path) -> None:
    """A directory goes with all that is in it."""
    remove_tree(make_profile(tmp_path / "clone"))
    assert not any(tmp_path.iterdir())


def test_clone_that_is_gone_is_fine(tmp_path: Path) -> None:
    """Removing what is not there succeeds."""
    remove_tree(tmp_path / "clone")


def test_symlinks_out_of_the_clone_are_not_followed(tmp_path: Path) -> None:
    """A link to a directory elsewhere is removed, what it points to is not."""
    outside = make_profile(tmp_path / "outside")
    before = snapshot(outside)
    clone = make_profile(tmp_path / "clone")
    (clone / "way-out").symlink_to(outside)
    remove_tree(clone)
    assert not clone.exists()
    assert snapshot(outside) == before


def test_directories_without_permissions_are_removed() -> None:
    """Directories that forbid even their owner to look in are opened up; those outside keep their modes."""
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
    """Files that appear while the clone is removed are removed as well, in further rounds."""
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
    """A browser at work in the clone, files coming and going, does not keep it from being removed."""
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
    """After the last attempt the caller is told, the path in the detail only."""

    def refuse(path: str, *, dir_fd: int) -> None:
        raise OSError(16, "Device or resource busy", path)

    monkeypatch.setattr(os, "rmdir", refuse)
    monkeypatch.setattr(removal, "_PAUSE_S", 0)
    with pytest.raises(CloneFailed) as failure:
        remove_tree(tmp_path)
    assert str(tmp_path) not in str(failure.value)
    assert str(tmp_path) in str(failure.value.detail)
