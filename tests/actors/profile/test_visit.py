"""A login's visit to a profile: the user's files are as before after any end, at any step."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenroom.actors.errors import ProfileLocked, ProfileUnusable
from greenroom.actors.profile import NOT_CLONED
from greenroom.actors.profile.visit import KEPT_NAMES, recover, visiting
from tests.actors.profile.profile_trees import locked_by_other_process, unprivileged_directory

OWN = ("user.js", "prefs.js", "sessionstore.jsonlz4")
STEPS = ("mkdir", "rename", "rmdir", "unlink", "replace")


class _Killed(BaseException):
    """Stands for SIGKILL: nothing that follows it runs."""


def make(profile: Path, *names: str) -> None:
    """Make a profile with these of the user's own files, two of them of unusual kinds."""
    profile.mkdir()
    (profile / "cookies.sqlite").write_bytes(b"cookies")
    for name in names:
        (profile / name).write_text(f"own {name}")
    if "user.js" in names:
        (profile / "user.js").chmod(0o440)


def state(profile: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return, for each file, what shows whether it is still the same."""
    found = {}
    for path in profile.iterdir():
        status = path.lstat()
        found[path.name] = (status.st_ino, status.st_mode, status.st_mtime_ns, path.read_bytes())
    return found


def automate(profile: Path) -> None:
    """Do to the profile what Playwright and Firefox do."""
    (profile / "user.js").write_text("automation")
    for name in ("prefs.js", "sessionstore.jsonlz4"):
        new = profile / f"{name}.new"
        new.write_text("automation")
        os.replace(new, profile / name)  # noqa: PTH105  # not one of the visit's own steps, which tests count
    for name in ("prefs.js.playwright", "WebDriverBiDiServer.json", "MarionetteActivePort"):
        (profile / name).write_text("automation")


@pytest.mark.parametrize("names", [OWN, OWN[:1], OWN[1:], ()], ids=["all", "user.js", "no user.js", "none"])
def test_visit_leaves_the_users_files_as_they_were(tmp_path: Path, names: tuple[str, ...]) -> None:
    """The files have the same content, mode and time, and automation has left nothing."""
    profile = tmp_path / "profile"
    make(profile, *names)
    before = state(profile)
    with visiting(profile):
        assert not (profile / "user.js").exists()  # Playwright's write can't go through it
        automate(profile)
    assert state(profile) == before


def test_visit_that_raises_leaves_the_users_files_as_they_were(tmp_path: Path) -> None:
    """An error or cancellation in the block does not keep the user's files from being put back."""
    profile = tmp_path / "profile"
    make(profile, *OWN)
    before = state(profile)
    with contextlib.suppress(KeyboardInterrupt), visiting(profile):
        automate(profile)
        raise KeyboardInterrupt
    assert state(profile) == before


def test_browser_finds_the_users_preferences(tmp_path: Path) -> None:
    """A proxy in the user's preferences must also apply during the login."""
    profile = tmp_path / "profile"
    make(profile, *OWN)
    with visiting(profile):
        assert (profile / "prefs.js").read_text() == "own prefs.js"


def test_symlinked_user_js_stays_a_link_and_its_target_as_it_was(tmp_path: Path) -> None:
    """Users who keep their settings elsewhere, behind a symlink, find them unchanged."""
    profile, elsewhere = tmp_path / "profile", tmp_path / "dotfiles.js"
    elsewhere.write_text("own")
    make(profile)
    (profile / "user.js").symlink_to(elsewhere)
    with visiting(profile):
        automate(profile)
    assert (profile / "user.js").readlink() == elsewhere
    assert elsewhere.read_text() == "own"


@contextlib.contextmanager
def killed_at(step: int) -> Iterator[None]:
    """Raise `_Killed` in place of change number `step` of files in the block."""
    left = iter(range(step))

    def dying(change: Callable[..., object]) -> Callable[..., object]:
        def change_or_die(*args: object, **kwargs: object) -> object:
            if next(left, None) is None:
                raise _Killed
            return change(*args, **kwargs)

        return change_or_die

    with pytest.MonkeyPatch.context() as patched:
        for name in STEPS:
            patched.setattr(Path, name, dying(getattr(Path, name)))
        patched.setattr(shutil, "copy", dying(shutil.copy))
        yield


def cut_off(profile: Path, step: int) -> bool:
    """Visit `profile` and be killed at a step on the way in or out; return whether there is such a step."""
    try:
        with killed_at(step), visiting(profile):
            automate(profile)
    except _Killed:
        return True
    return False


@pytest.mark.parametrize("names", [OWN, OWN[:1], ()], ids=["all", "user.js", "none"])
def test_visit_that_is_killed_at_any_step_is_made_good_by_the_next(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    """Wherever a visit is killed, the next one finds the user's files and puts them back."""
    step = 0
    while True:
        profile = tmp_path / str(step)
        make(profile, *names)
        before = state(profile)
        if not cut_off(profile, step):
            break
        recover(profile)
        after = state(profile)
        assert after == before, step
        assert not recover(profile)
        step += 1
    assert step > 8


@pytest.mark.parametrize("first", range(0, 17, 2))
def test_recovery_that_is_killed_too_is_made_good(tmp_path: Path, first: int) -> None:
    """A second kill, at any step of the recovery, loses nothing either."""
    for second in range(16):
        profile = tmp_path / str(second)
        make(profile, *OWN)
        before = state(profile)
        assert cut_off(profile, first)
        with contextlib.suppress(_Killed), killed_at(second):
            recover(profile)
        with visiting(profile):
            automate(profile)
        assert state(profile) == before, second


def test_visit_that_can_not_begin_leaves_all_as_it_was(tmp_path: Path) -> None:
    """On a full disk, or here if the preferences can't be copied, the files set aside are put back."""
    profile = tmp_path / "profile"
    make(profile, "user.js")
    (profile / "prefs.js").symlink_to(tmp_path)
    with pytest.raises(ProfileUnusable), visiting(profile):
        raise AssertionError
    assert (profile / "user.js").read_text() == "own user.js"
    assert (profile / "prefs.js").readlink() == tmp_path
    assert not [path for path in profile.iterdir() if path.name in KEPT_NAMES]


def test_files_set_aside_are_not_cloned() -> None:
    """After a killed login, sessions of the profile get no copy of the files set aside."""
    assert KEPT_NAMES <= NOT_CLONED


def test_profile_that_needs_nothing_is_not_touched(tmp_path: Path) -> None:
    """Checking whether there is something to put back writes nothing."""
    profile = tmp_path / "profile"
    make(profile, *OWN)
    before, times = state(profile), profile.stat().st_mtime_ns
    assert not recover(profile)
    assert not recover(tmp_path / "nowhere")
    assert (state(profile), profile.stat().st_mtime_ns) == (before, times)


def test_second_visit_is_refused_and_the_first_not_disturbed(tmp_path: Path) -> None:
    """The second visit is refused even before the first one's browser takes the profile's own lock."""
    profile = tmp_path / "profile"
    make(profile, *OWN)
    before = state(profile)
    with visiting(profile):
        automate(profile)
        with pytest.raises(ProfileLocked), visiting(profile):
            pass
        assert not recover(profile)
        assert (profile / "user.js").read_text() == "automation"
    assert state(profile) == before


def test_profile_that_a_browser_still_has_is_left_alone(tmp_path: Path) -> None:
    """Without a sandbox a browser may survive for a while; its files are left in place."""
    profile = tmp_path / "profile"
    make(profile, *OWN)
    before = state(profile)
    assert cut_off(profile, 7)
    with locked_by_other_process(profile):
        assert not recover(profile)
    (profile / ".parentlock").unlink()
    assert recover(profile)
    assert state(profile) == before


def test_profile_that_can_not_be_written_is_told_as_such() -> None:
    """If the profile can't be restored later, the visit doesn't start."""
    with unprivileged_directory() as folder:
        profile = folder / "profile"
        make(profile, *OWN)
        profile.chmod(0o500)
        before = state(profile)
        with pytest.raises(ProfileUnusable), visiting(profile):
            raise AssertionError
        assert state(profile) == before
        profile.chmod(0o700)
