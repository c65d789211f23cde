"""Anything other than a Firefox profile is recognized and named; an unusual profile is cloned."""

from collections.abc import Callable
from pathlib import Path

import pytest

from greenroom.actors.errors import NotAProfile
from greenroom.actors.profile import ProfileCloner
from tests.actors.profile.profile_trees import make_profile


def make_profiles_directory(path: Path) -> None:
    """Make a directory like `~/.mozilla/firefox`."""
    path.mkdir()
    make_profile(path / "abcd.default-esr")
    (path / "profiles.ini").write_text(
        "[Profile1]\nName=one\nIsRelative=1\nPath=abcd.default-esr\n\n"
        "[Profile0]\nName=two\nIsRelative=0\nPath=/home/me/secret/efgh.work\n\n"
        "[Install4F96D1932A9F858E]\nDefault=abcd.default-esr\n"
    )


def make_directory_of_profiles(path: Path) -> None:
    """Make a directory of profiles without a list of them."""
    path.mkdir()
    for number in range(7):
        make_profile(path / f"profile{number}")


def make_chromium_user_data(path: Path) -> None:
    """Make a directory like `~/.config/chromium`."""
    (path / "Default").mkdir(parents=True)
    (path / "Local State").write_text("{}")
    (path / "SingletonSocket").symlink_to("/tmp/nowhere/SingletonSocket")


def make_chromium_profile(path: Path) -> None:
    """Make a directory like `~/.config/chromium/Default`."""
    path.mkdir()
    for name in ("Preferences", "History", "Cookies", "Login Data"):
        (path / name).touch()


def make_damaged_list(path: Path) -> None:
    """Make a directory of profiles whose list can't be read."""
    path.mkdir()
    (path / "profiles.ini").write_bytes(b"\xff\xfe[Profile0\n=")


def make_something(path: Path) -> None:
    """Make a directory that has nothing to do with browsers."""
    path.mkdir()
    (path / "holiday.jpg").touch()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (make_profiles_directory, r"is a directory of profiles: .*\(abcd\.default-esr, efgh\.work\)"),
        (make_directory_of_profiles, r"\(profile0, profile1, profile2, profile3, profile4, \.\.\.\)"),
        (make_damaged_list, r"is a directory of profiles: .*\(none is in it\)"),
        (make_chromium_user_data, "is a Chromium browser's profile"),
        (make_chromium_profile, "is a Chromium browser's profile"),
        (make_something, "holds nothing that a Firefox profile has"),
    ],
)
async def test_what_is_no_firefox_profile_is_refused_as_what_it_is(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    """The error doesn't say that a login has expired, since there was none, and shows no path."""
    make(tmp_path / "master")
    cloner = ProfileCloner(master=tmp_path / "master", clones_dir=tmp_path / "clones")
    with pytest.raises(NotAProfile, match=told) as caught:
        async with cloner.open_clone("a"):
            pytest.fail("there is a clone")
    assert "/" not in str(caught.value)
    assert str(cloner.master) in str(caught.value.detail)
    assert not cloner.clones_dir.exists()


@pytest.mark.parametrize("name", ["prefs.js", "cookies.sqlite", "user.js"])
async def test_one_file_of_firefox_makes_a_profile(tmp_path: Path, name: str) -> None:
    """A profile may be new, and may also hold other files, even a list of profiles."""
    make_profiles_directory(tmp_path / "master")
    (tmp_path / "master" / name).touch()
    cloner = ProfileCloner(master=tmp_path / "master", clones_dir=tmp_path / "clones")
    async with cloner.open_clone("a") as clone:
        assert (clone / name).exists()
