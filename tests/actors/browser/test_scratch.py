"""A cell's directory for temporary files is removed with it, whatever it holds; else the log says so."""

import contextlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from greenroom.actors.browser.cells.scratch import open_scratch
from greenroom.actors.errors import CloneFailed
from greenroom.actors.profile.removal import is_gone
from tests.actors.profile.profile_trees import deep_tree


async def test_deep_tree_goes_with_its_cell(tmp_path: Path) -> None:
    """Directories nested deeper than Python can recurse are removed like any others."""
    with contextlib.ExitStack() as trees:
        async with open_scratch(tmp_path / "scratch") as scratch:
            trees.enter_context(deep_tree(Path(scratch, "deep"), 1_100))
        assert is_gone(Path(scratch))


async def test_what_stays_is_logged_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger keeps the entry of a directory that is still there; the session ends as usual."""

    def refuse(path: Path) -> None:
        raise CloneFailed("The clone could not be removed", detail=str(path))

    monkeypatch.setattr("greenroom.actors.profile.removal.remove_tree", refuse)
    with capture_logs() as logs:
        async with open_scratch(tmp_path / "scratch"):
            pass
    assert [(line["log_level"], line["detail"]) for line in logs] == [("error", str(tmp_path / "scratch"))]
