"""A session's use is measured on real processes and files, and compared with its budget."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.resources import Budget, Usage, disk_usage, measure, usage

MB = 1 << 20
GB = 1 << 30
# So many levels of such names make a path of 300,000 characters.
DEEP = 1500
NAME = "d" * 200

# Takes 64 MB, shares them with a child, and prints the child's pid.
FAMILY = """
import os, signal
taken = b"x" * (64 << 20)
child = os.fork()
if child:
    print(child, flush=True)
signal.pause()
"""
# Drops root, if it has it, and measures another user's process.
STRANGER = """
import os, sys
from greenroom.actors.resources import measure
if os.getuid() == 0:
    os.setuid(65534)
found = measure([int(sys.argv[1])], [])
print(found.processes, found.memory_bytes)
"""


def write(path: Path, size: int) -> None:
    """Write a file that takes `size` bytes on disk, its directories included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def du(*directories: Path) -> int:
    """Return the bytes that these directories take together, as `du` counts them."""
    command: list[str | Path] = ["du", "--summarize", "--total", "--block-size=1", *directories]
    return int(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1].split()[0])


@pytest.fixture
def deep_chain(tmp_path: Path) -> Iterator[Path]:
    """Return a chain of 1,500 nested directories with a file of 1 MB in the last one."""
    top = tmp_path / "deep"
    top.mkdir()
    here = os.open(top, os.O_DIRECTORY)
    try:
        for _ in range(DEEP):
            os.mkdir(NAME, dir_fd=here)
            inner = os.open(NAME, os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = inner
        with open(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here), "wb") as file:  # noqa: PTH123
            file.write(os.urandom(MB))
        yield top
    finally:
        os.close(here)
        subprocess.run(["rm", "-rf", top], check=True)


def test_memory_that_processes_share_counts_once() -> None:
    """A parent and its child that share 64 MB use 64 MB, not 128."""
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        try:
            found = measure([parent.pid, child, child], [])
        finally:
            os.kill(child, 9)
            parent.kill()
    assert found.processes == 2
    assert 64 * MB < found.memory_bytes < 96 * MB
    assert (found.disk_bytes, found.files) == (0, 0)


def test_process_that_hides_its_memory_counts_with_its_resident_set() -> None:
    """Another user's process doesn't show its shares, but it does show its resident set."""
    strange = os.getpid() if os.getuid() == 0 else 1
    command = [sys.executable, "-c", STRANGER, str(strange)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    resident = int(Path(f"/proc/{strange}/statm").read_text().split()[1]) * resource.getpagesize()
    processes, memory = map(int, found.split())
    assert processes == 1
    assert memory == pytest.approx(resident, rel=0.1)


def test_processes_that_are_gone_count_nothing_and_zombies_their_pid() -> None:
    """A dead process still takes a pid until it is reaped. After that nothing of it counts."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert measure([process.pid], []) == Usage(memory_bytes=0, processes=1, disk_bytes=0)
    process.wait()
    assert measure([process.pid], []) == Usage(memory_bytes=0, processes=0, disk_bytes=0)


def test_disk_usage_is_what_is_allocated(tmp_path: Path) -> None:
    """Holes take nothing, a hard link takes nothing more, and a symlink's target doesn't count."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    write(outside / "file", 4 * MB)
    write(inside / "storage/default/file", MB + 1)
    (inside / "again").hardlink_to(inside / "storage/default/file")
    (inside / "to-directory").symlink_to(outside)
    (inside / "to-file").symlink_to(outside / "file")
    with (inside / "sparse").open("wb") as sparse:
        sparse.truncate(8 * MB)
    os.mkfifo(inside / "fifo")
    assert MB < disk_usage(inside) < 2 * MB
    assert disk_usage(inside) == du(inside)
    for link in (inside / "to-directory", inside / "to-file"):
        assert disk_usage(link) == link.lstat().st_blocks * 512


def test_directories_that_overlap_count_once(tmp_path: Path) -> None:
    """Directories are added up, but nothing counts twice, whether linked, repeated or nested."""
    one, two = tmp_path / "one", tmp_path / "two"
    write(one / "within/file", MB)
    write(two / "file", MB)
    (two / "link").hardlink_to(one / "within/file")
    assert measure([], [one / "within", one, two, two]).disk_bytes == du(one, two)


def test_directory_that_is_not_there_takes_nothing(tmp_path: Path) -> None:
    """Measuring a clone that is gone is fine."""
    assert disk_usage(tmp_path / "gone") == 0
    assert measure([], [tmp_path / "gone"]) == Usage(memory_bytes=0, processes=0, disk_bytes=0)


def test_deep_chain_is_measured_to_its_end(deep_chain: Path) -> None:
    """Neither recursion, path length nor descriptors limit the depth, and no descriptor stays open."""
    before = open_descriptors()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 8, limits[1]))
    try:
        found = measure([], [deep_chain])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found.files == DEEP + 2
    assert found.disk_bytes == du(deep_chain)
    assert open_descriptors() == before


@pytest.mark.parametrize("ending", ["moved", "removed", "replaced"])
def test_directory_moved_while_walked_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Everything beside it is still counted. Its new place, and what took its old place, are not."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    branch = inside / "trunk/branch"
    for name in ("one", "two"):
        write(branch / name / "file", MB)
        write(inside / "trunk" / name / "file", MB)
    write(outside / "file", 8 * MB)
    descriptors = open_descriptors()
    left: list[Path] = []
    real_open = os.open

    def open_and_lose(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = real_open(path, flags, mode, dir_fd=dir_fd)
        folder = Path(f"/proc/self/fd/{fd}").readlink()
        if folder.parent == branch and not left:
            left.append(folder)
            if ending == "removed":
                (folder / "file").unlink()
                folder.rmdir()
            else:
                folder.rename(outside / "stray")
            if ending == "replaced":
                branch.rename(outside / "branch")
                for name in ("one", "two"):
                    write(branch / name / "file", MB)
        return fd

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_and_lose)
        found = disk_usage(inside)
    assert left
    assert open_descriptors() == descriptors
    files = {"moved": 4, "removed": 3, "replaced": 3}[ending]
    assert files * MB <= found < (files + 1) * MB


def test_directory_swapped_for_a_symlink_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory is not followed even if it is replaced between being found and being opened."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    write(inside / "directory/file", MB)
    write(outside / "file", 4 * MB)
    real_open = os.open

    def swap_and_open(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "directory":
            (inside / path).rename(tmp_path / "away")
            (inside / path).symlink_to(outside)
        return real_open(path, flags, mode, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", swap_and_open)
        found = disk_usage(inside)
    assert (inside / "directory").is_symlink()
    assert found < MB


def test_counting_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files there are, the walk stops there. That number alone exceeds any budget."""
    for number in range(60):
        write(tmp_path / str(number % 6) / str(number), 1)
    budget = Budget(memory_bytes=GB, processes=1, disk_bytes=GB)
    assert budget.breach(measure([], [tmp_path])) is None
    monkeypatch.setattr(usage, "MAX_FILES", 50)
    found = measure([], [tmp_path, tmp_path.parent])
    assert found.files == 51
    assert budget.breach(found) == "The session has more than 50 files, its budget is 50"


@pytest.mark.parametrize(
    ("used", "says"),
    [
        ({}, None),
        (
            {"memory_bytes": 2 * GB + 1, "processes": 31, "disk_bytes": GB},
            "The session uses 2.1 GB of memory, its budget is 2.0 GB",
        ),
        ({"processes": 1031, "disk_bytes": GB}, "The session has 1,031 processes, its budget is 30"),
        ({"disk_bytes": 600 * MB}, "The session uses 600.0 MB of disk space, its budget is 500.5 MB"),
        ({"disk_bytes": 3000 * GB}, "The session uses 3,000.0 GB of disk space, its budget is 500.5 MB"),
    ],
    ids=["at-budget", "memory-first", "processes", "disk", "far-over"],
)
def test_breach_names_what_is_over_and_how_much(used: dict[str, int], says: str | None) -> None:
    """Using up the budget is fine. Anything more is named with both amounts, which never look the same."""
    limits = {"memory_bytes": 2 * GB, "processes": 30, "disk_bytes": 500 * MB + MB // 2}
    assert Budget(**limits).breach(Usage(**(limits | used))) == says


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "1"])
@pytest.mark.parametrize("name", ["memory_bytes", "processes", "disk_bytes"])
def test_budget_that_is_not_a_positive_integer_is_refused(name: str, value: Any) -> None:
    """The error names the invalid field."""
    with pytest.raises(ValueError, match=f"{name} is .*must be a whole number above 0"):
        Budget(**({"memory_bytes": 1, "processes": 1, "disk_bytes": 1} | {name: value}))
