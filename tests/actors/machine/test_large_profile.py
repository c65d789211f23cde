"""A large profile, written for real: cloned, committed, and whole at every byte."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from greenroom.actors.profile.generations import directory_of
from tests.actors.machine.machines import open_hostless_machine
from tests.actors.machine.test_workspace import WRITE, log_in

_MIB = 1 << 20
_NEEDS_BYTES = 8 << 30


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """A directory whose large files are gone at the end: pytest keeps directories for a while."""
    if shutil.disk_usage(tmp_path).free < _NEEDS_BYTES:
        pytest.skip("the disk has no room for it")
    yield tmp_path
    for path in tmp_path.rglob("large.bin"):
        path.unlink()


async def test_profile_of_a_gigabyte_is_cloned_and_committed_whole(large: Path) -> None:
    """The generation before is kept, as whole."""
    noise = os.urandom(_MIB)

    def blocks() -> Iterator[bytes]:
        return (number.to_bytes(8) + noise[8:] for number in range(1024))

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.writelines(blocks())

    def is_whole(path: Path) -> bool:
        with path.open("rb") as file:
            return all(file.read(_MIB) == block for block in blocks()) and not file.read()

    async with open_hostless_machine(large) as machine:
        master = machine.cloner.master
        (master / "cookies.sqlite").unlink()
        (master / "storage" / "default" / "data.sqlite").unlink()
        await trio.to_thread.run_sync(write, master / "large.bin")
        async with machine.open_workspace("a", WRITE) as workspace:
            log_in(workspace)
            assert await workspace.commit() == 2
        for one in (master, directory_of(master, 1)):
            assert await trio.to_thread.run_sync(is_whole, one / "large.bin")
