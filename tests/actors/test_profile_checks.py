"""What the self-check asks the real clones: which version a clone would have now, and where it would be."""

from pathlib import Path

import pytest

from actors.browser import end_marked
from actors.clones import LedgeredProfiles
from actors.errors import NotLoggedIn
from actors.ledger import open_ledger
from actors.profile import ProfileCloner
from actors.resources import Needs
from tests.actors.profile_trees import make_profile

NOTHING = Needs(disk_bytes=0, inodes=0, memory_bytes=0, file_descriptors=0, pids=0)


async def test_version_is_that_of_a_clone_made_now(tmp_path: Path) -> None:
    """The version changes with the master, and a missing master is reported."""
    master = make_profile(tmp_path / "master")
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        cloner = ProfileCloner(master=master, clones_dir=ledger.folder)
        profiles = LedgeredProfiles(cloner=cloner, ledger=ledger, needs=NOTHING)
        async with profiles.open_clone("a") as clone:
            assert clone.version == await profiles.current_version()
            (master / "new").write_text("x")
            assert clone.version != await profiles.current_version()
        master.rename(tmp_path / "elsewhere")
        with pytest.raises(NotLoggedIn):
            await profiles.current_version()


async def test_place_for_clones_that_is_gone_is_a_problem(tmp_path: Path) -> None:
    """Somebody has removed the directory under the daemon, and put a file there; the text has no path."""
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        cloner = ProfileCloner(master=make_profile(tmp_path / "master"), clones_dir=ledger.folder)
        profiles = LedgeredProfiles(cloner=cloner, ledger=ledger, needs=NOTHING)
        assert await profiles.place_problem() is None
        state = tmp_path / "state"
        away = state.rename(tmp_path / "away")
        state.touch()
        problem = await profiles.place_problem()
        state.unlink()
        away.rename(state)
    assert problem == "The clones directory is gone, and can't be recreated: Not a directory"
