"""Where clones go by default, for all kinds of homes."""

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from greenroom.supervisor.config import InvalidSetting, SupervisorConfig
from greenroom.supervisor.places import NoPlace, default_clones_dir, state_dir

HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)


@pytest.fixture(autouse=True)
def _no_cache_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def set_home(monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    """Set HOME, or unset it for None."""
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)


def make_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Continue as a user that the system doesn't know, as in containers with an arbitrary uid."""

    def find_nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", find_nobody)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_home_and_cache_that_can_be_written_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual places are used; a set cache directory comes before the home's. Neither is made yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_clones_dir() == tmp_path / ".cache/greenroom/clones"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a/b"))
    assert default_clones_dir() == tmp_path / "a/b/greenroom/clones"
    assert list(tmp_path.iterdir()) == []


def test_state_has_a_lasting_place_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same rules, but never below the directory for temporary files."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_dir() == tmp_path / ".local/state/greenroom"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_dir() == tmp_path / ".local/state/greenroom"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a/b"))
    assert state_dir() == tmp_path / "a/b/greenroom"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delenv("XDG_STATE_HOME")
    set_home(monkeypatch, None)
    make_unknown(monkeypatch)
    with pytest.raises(NoPlace, match="XDG_STATE_HOME"):
        state_dir()


@pytest.mark.parametrize("cache", ["", "cache", "./x", "~/.cache", " "])
def test_cache_that_is_relative_or_empty_is_passed_over(
    cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The XDG standard says to ignore a relative XDG_CACHE_HOME."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    assert default_clones_dir() == tmp_path / ".cache/greenroom/clones"


@pytest.mark.parametrize("home", [None, "", "/", "relative", "/nonexistent", "/dev/null"])
def test_invalid_home_gives_way_to_the_one_that_the_system_knows(
    home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HOME only counts if it is a directory that can be written to."""
    set_home(monkeypatch, home)
    assert default_clones_dir() == HOME / ".cache/greenroom/clones"


@pytest.mark.parametrize("home", [None, "", "/", "/nonexistent"])
def test_user_without_any_home_keeps_clones_among_temporary_files(
    home: str | None, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory always has the same name, so that the next daemon finds what was left."""
    set_home(monkeypatch, home)
    make_unknown(monkeypatch)
    own = temporary / f"greenroom-{os.getuid()}"
    before = os.umask(0)
    try:
        assert default_clones_dir() == own / "clones"
    finally:
        os.umask(before)
    assert own.stat().st_mode & 0o777 == 0o700
    assert SupervisorConfig().clones_dir == own / "clones"


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_directory_that_others_may_look_into_is_refused(
    kind: str, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user may have made that directory first. They must not get the cookies."""
    monkeypatch.setenv("HOME", "/")
    make_unknown(monkeypatch)
    own = temporary / f"greenroom-{os.getuid()}"
    if kind == "open to others":
        own.mkdir()
        own.chmod(0o755)
    elif kind == "a link":
        own.symlink_to(tmp_path)
    else:
        own.touch()
    with pytest.raises(InvalidSetting) as caught:
        SupervisorConfig()
    assert str(caught.value) == (
        "clones_dir is not set, must be set here, such as by GREENROOM_CLONES_DIR: HOME can't be written to, "
        f"and {own} is not this user's alone"
    )


def test_no_place_to_write_names_the_setting(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home and a temporary directory, `clones_dir` has to be set. Then all is well."""
    monkeypatch.setenv("HOME", "/")
    make_unknown(monkeypatch)
    temporary.rmdir()
    with pytest.raises(
        InvalidSetting, match=r"clones_dir is not set, .* GREENROOM_CLONES_DIR: neither HOME nor"
    ):
        SupervisorConfig()
    assert SupervisorConfig(clones_dir="/c").clones_dir == Path("/c")
