"""Whether the daemon keeps a history, and where."""

import os
import pwd
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from greenroom.web.daemon_history import hiding_history, history_path, open_history_of
from tests.web.http.front import make_settings


@pytest.fixture
def no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Continue as a user without a home."""

    def find_nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", find_nobody)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's state directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


async def test_history_is_kept_in_the_state_directory_unless_it_is_turned_off(state: Path) -> None:
    """Then no file is made. Where it is, no browser may look."""
    async with open_history_of(make_settings(history_days=0)) as history:
        assert history is None
    assert os.listdir(state) == []  # noqa: PTH208  # names are enough
    async with open_history_of(make_settings()) as history:
        assert history is not None
    assert history_path() == state / "greenroom" / "history.sqlite3"
    assert os.listdir(state / "greenroom") == ["history.sqlite3"]  # noqa: PTH208  # likewise
    settings = make_settings(private_paths=("/secret",))
    assert hiding_history(settings).private_paths == (Path("/secret"), state / "greenroom")


async def test_daemon_without_a_place_for_its_history_runs_without(no_place: None) -> None:
    """One line in the log says what to do."""
    settings = make_settings(clones_dir="/clones")
    with capture_logs() as logs:
        async with open_history_of(settings) as history:
            assert history is None
        assert hiding_history(settings) == settings
    assert [line["event"] for line in logs] == ["the daemon runs without a history: set XDG_STATE_HOME"]
