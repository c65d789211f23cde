"""A profile's version: everything that a clone would have counts, and nothing else."""

import os
from pathlib import Path

import pytest

from greenroom.actors.profile.version import profile_version


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile with a file, a directory, a symlink to a file elsewhere, and a dangling one."""
    folder = tmp_path / "profile"
    (folder / "storage" / "site").mkdir(parents=True)
    (folder / "cookies.sqlite").write_text("a")
    (folder / "storage" / "site" / "data").write_text("b")
    (tmp_path / "elsewhere.js").write_text("c")
    (folder / "prefs.js").symlink_to(tmp_path / "elsewhere.js")
    (folder / "nowhere").symlink_to(tmp_path / "missing")
    return folder


@pytest.mark.parametrize("file", ["cookies.sqlite", "storage/site/data", "../elsewhere.js"])
def test_any_change_of_what_is_cloned_changes_it(profile: Path, file: str) -> None:
    """A rewritten file changes the version, also in a directory or behind a symlink."""
    before = profile_version(profile)
    assert profile_version(profile) == before
    os.utime(profile / file, ns=(0, 0))
    assert profile_version(profile) != before


def test_new_and_removed_files_change_it(profile: Path) -> None:
    """A new or removed name changes the version."""
    versions = [profile_version(profile)]
    (profile / "key4.db").touch()
    versions.append(profile_version(profile))
    (profile / "cookies.sqlite").unlink()
    versions.append(profile_version(profile))
    assert len(set(versions)) == 3


@pytest.mark.parametrize("name", ["lock", ".parentlock", "cache2"])
def test_what_is_not_cloned_does_not_count(profile: Path, name: str) -> None:
    """Locks and caches change with every browser, and don't count."""
    before = profile_version(profile)
    (profile / name).touch()
    assert profile_version(profile) == before


def test_symlink_loop_is_looked_at_once(profile: Path) -> None:
    """Copying fails at a loop; computing the version visits it only once."""
    for name in ("one", "two"):
        (profile / "storage" / name).symlink_to(profile)
    assert profile_version(profile)
