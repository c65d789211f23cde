"""The fast part of `make chaos`: whatever of a live session or its host is killed, nothing of it is left."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.lane import Lane, open_lane
from tests.chaos.matrix import Strike, quick_strikes
from tests.chaos.trial import strike
from tests.chaos.world import Base

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lane(site: str, logged_in_master: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """A daemon with sessions beside those of the cells: one in the same host, and some in another."""
    base = Base(
        folder=tmp_path_factory.mktemp("chaos"), site=site, master=logged_in_master, run=uuid.uuid4().hex
    )
    with open_lane(base, "bubblewrap", others=True) as lane:
        yield lane


@pytest.mark.parametrize("cell", quick_strikes("bubblewrap"), ids=lambda cell: cell.victim.name.lower())
def test_killed_process_ends_its_session_or_its_hosts_with_nothing_left(lane: Lane, cell: Strike) -> None:
    """What needs it ends at once, for its reason, and leaves nothing; all other sessions are undisturbed."""
    result = strike(lane, cell)
    assert result.problems == []
