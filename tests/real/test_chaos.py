"""The fast part of `make chaos`: kill a process of a live session or its host; nothing must be left."""

import uuid
from pathlib import Path

import pytest

from tests.chaos.lane import open_lane
from tests.chaos.matrix import quick_strikes
from tests.chaos.trial import strike
from tests.chaos.world import Base

pytestmark = pytest.mark.browser


def test_killed_process_ends_its_session_or_its_hosts_with_nothing_left(
    site: str, logged_in_master: Path, tmp_path: Path
) -> None:
    """What depends on it ends at once, for the right reason, and leaves nothing. Other sessions go on.

    One daemon serves all the kills. Beside the session under test it has one in the same host and some in
    another, and launching those takes far longer than a kill.
    """
    base = Base(folder=tmp_path, site=site, master=logged_in_master, run=uuid.uuid4().hex)
    with open_lane(base, "bubblewrap", others=True) as lane:
        problems = {cell.victim: strike(lane, cell).problems for cell in quick_strikes()}
    assert not any(problems.values()), problems
