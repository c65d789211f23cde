"""What the self-check asks a local machine: the version of a clone made now, and where it would be made."""

from pathlib import Path

import pytest

from greenroom.actors.errors import NotLoggedIn
from tests.actors.machine.machines import open_hostless_machine


async def test_version_is_that_of_a_clone_made_now(tmp_path: Path) -> None:
    """It changes with the master. A missing master is reported as missing."""
    async with open_hostless_machine(tmp_path) as machine:
        master = machine.cloner.master
        async with machine.open_workspace("a") as workspace:
            assert workspace.profile_version == await machine.profile_version()
            (master / "new").write_text("x")
            assert workspace.profile_version != await machine.profile_version()
        master.rename(tmp_path / "elsewhere")
        with pytest.raises(NotLoggedIn):
            await machine.profile_version()


async def test_missing_place_for_clones_is_a_problem(tmp_path: Path) -> None:
    """Somebody has put something else in its place. The message shows no path."""
    async with open_hostless_machine(tmp_path) as machine:
        assert await machine.place_problem() is None
        state = tmp_path / "state"
        away = state.rename(tmp_path / "away")
        state.touch()
        problem = await machine.place_problem()
        state.unlink()
        away.rename(state)
    assert problem == "The clones directory is gone, and can't be recreated: Not a directory"
