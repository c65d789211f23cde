"""What the self-check asks of a local machine: what a clone made now would be, and where it would be made."""

from pathlib import Path

import pytest

from greenroom.actors.errors import NotLoggedIn
from tests.actors.machine.machines import open_hostless_machine


async def test_version_is_that_of_a_clone_made_now(tmp_path: Path) -> None:
    """It changes with the master, and a master that is missing is named as such."""
    async with open_hostless_machine(tmp_path) as machine:
        master = machine.cloner.master
        async with machine.open_workspace("a") as workspace:
            assert workspace.profile_version == await machine.profile_version()
            (master / "new").write_text("x")
            assert workspace.profile_version != await machine.profile_version()
        master.rename(tmp_path / "elsewhere")
        with pytest.raises(NotLoggedIn):
            await machine.profile_version()


async def test_place_for_clones_that_is_gone_is_a_problem(tmp_path: Path) -> None:
    """Somebody has removed it under the daemon, and put something else there; the text has no path."""
    async with open_hostless_machine(tmp_path) as machine:
        assert await machine.place_problem() is None
        state = tmp_path / "state"
        away = state.rename(tmp_path / "away")
        state.touch()
        problem = await machine.place_problem()
        state.unlink()
        away.rename(state)
    assert problem == "The clones directory is gone, and can't be recreated: Not a directory"
