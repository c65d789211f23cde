"""What a profile is like: whatever a clone would have counts, and nothing else."""

import os
from pathlib import Path

import pytest

from actors.profile.version import profile_version


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile with a file, a directory, a symlink to a file elsewhere, and one that leads nowhere."""
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
    """A file written anew is another version, in a directory or behind a symlink too."""
    before = profile_version(profile)
    assert profile_version(profile) == before
    os.utime(profile / file, ns=(0, 0))
    assert profile_version(profile) != before


def test_new_and_removed_files_change_it(profile: Path) -> None:
    """A name that comes or goes is another version."""
    versions = [profile_version(profile)]
    (profile / "key4.db").touch()
    versions.append(profile_version(profile))
    (profile / "cookies.sqlite").unlink()
    versions.append(profile_version(profile))
    assert len(set(versions)) == 3


@pytest.mark.parametrize("name", ["lock", ".parentlock", "cache2"])
def test_what_is_not_cloned_does_not_count(profile: Path, name: str) -> None:
    """Locks and caches come and go with every browser."""
    before = profile_version(profile)
    (profile / name).touch()
    assert profile_version(profile) == before


def test_symlink_loop_is_looked_at_once(profile: Path) -> None:
    """Copying fails at it; looking does not go round and round."""
    for name in ("one", "two"):
        (profile / "storage" / name).symlink_to(profile)
    assert profile_version(profile)
