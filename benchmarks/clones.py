"""Cloning a profile of 1 GB, compared with `cp`."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trio

from benchmarks.figures import Bar, Row
from greenroom.actors.profile import ProfileCloner

_MB = 1_000_000
# A browser's profile: few large files, many small ones. Each pair is a size in bytes and a number of files.
_FILES = ((100 * _MB, 6), (10 * _MB, 25), (500_000, 200), (25_000, 2_000))


def measure_clones(runs: int, say: Callable[[str], None]) -> list[Row]:
    """Time a clone of a 1 GB profile and `cp -a --reflink=auto` of the same files, in turns."""
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-", ignore_cleanup_errors=True) as scratch:
        say("making a profile of 1 GB")
        master = _make_large_profile(Path(scratch, "master"))
        # Write the master out now. The copies are removed before they reach the disk, so it stays idle below.
        os.sync()
        for turn in range(runs + 1):  # the first run reads the master into memory and is not counted
            say(f"clone of 1 GB, run {turn} of {runs}")
            ours.append(trio.run(_time_clone, master, Path(scratch, "clones")))
            theirs.append(_time_cp(master, Path(scratch, "copy")))
    return [
        Row(
            key="clone",
            group="Profiles",
            title="clone of a 1 GB profile",
            unit="s",
            bar=Bar(limit=1.1),
            samples=tuple(ours[1:]),
            baseline="`cp -a --reflink=auto`",
            baseline_samples=tuple(theirs[1:]),
        )
    ]


def _make_large_profile(folder: Path) -> Path:
    for number, (size, count) in enumerate(_FILES):
        below = folder / "storage" / "default" / f"origin-{number}"
        below.mkdir(parents=True)
        block = secrets.token_bytes(min(size, _MB))
        for name in range(count):
            (below / f"{name}.sqlite").write_bytes(block * (size // len(block)))
    return folder


async def _time_clone(master: Path, clones: Path) -> float:
    cloner = ProfileCloner(master=master, clones_dir=clones)
    started = time.perf_counter()
    async with cloner.open_clone("clone"):
        return time.perf_counter() - started


def _time_cp(master: Path, copy: Path) -> float:
    started = time.perf_counter()
    subprocess.run(["cp", "-a", "--reflink=auto", master, copy], check=True)
    took = time.perf_counter() - started
    shutil.rmtree(copy)
    return took
