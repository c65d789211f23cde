"""Preflight names what is too scarce for another session: real limits, and control groups as files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from greenroom.actors.resources import Needs, shortage

MB = 1 << 20
GB = 1 << 30
NOTHING = Needs(disk_bytes=0, inodes=0, memory_bytes=0, file_descriptors=0, pids=0)
ENDLESS = 1 << 62

ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from greenroom.actors.resources import Needs, shortage
needs = {name: 0 for name in ("memory_bytes", "file_descriptors", "pids", "disk_bytes", "inodes")}
print(shortage(Path(sys.argv[1]), Needs(**needs | {sys.argv[2]: int(sys.argv[3])})))
"""
WITH_FEW_DESCRIPTORS = """
import os, resource, sys
from pathlib import Path
from greenroom.actors.resources import Needs, shortage
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
spare = int(sys.argv[1])
while (last := os.open("/dev/null", os.O_RDONLY)) < 99 - spare:
    pass
print(shortage(Path("/"), Needs(disk_bytes=0, inodes=0, memory_bytes=1, file_descriptors=20, pids=0)))
"""
# Drops root, if it has it. That hides the process in /proc until it asks to be seen again.
WITH_FEW_PIDS = """
import ctypes, os, psutil, resource, subprocess
from pathlib import Path
from greenroom.actors.resources import Needs, shortage
PR_SET_DUMPABLE = 4
if os.getuid() == 0:
    os.setuid(65534)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
sleepers = [subprocess.Popen(["sleep", "60"]) for _ in range(5)]
try:
    resource.setrlimit(resource.RLIMIT_NPROC, (20, 20))
    own = [process for process in psutil.process_iter() if process.uids().real == os.getuid()]
    print(max(0, 20 - sum(process.num_threads() for process in own)))
    for pids in (16, 0):
        needs = Needs(disk_bytes=0, inodes=0, memory_bytes=0, file_descriptors=0, pids=pids)
        print(shortage(Path("/"), needs))
finally:
    for sleeper in sleepers:
        sleeper.kill()
        sleeper.wait()
"""


def says(*command: str | Path) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_machine_with_room_has_no_shortage(tmp_path: Path) -> None:
    """A machine that can run the tests has room for a session that needs almost nothing."""
    needs = Needs(disk_bytes=1, inodes=1, memory_bytes=1, file_descriptors=1, pids=1)
    assert shortage(tmp_path / "not" / "there", needs) is None


@pytest.mark.parametrize(
    ("needs", "names"),
    [
        (
            Needs(disk_bytes=ENDLESS, memory_bytes=ENDLESS),
            r"too little disk space .*: [\d,]+\.\d [kMG]B is free",
        ),
        (
            Needs(memory_bytes=ENDLESS, file_descriptors=ENDLESS),
            r"too little memory .*: [\d,]+\.\d [kMG]B is",
        ),
        (Needs(file_descriptors=ENDLESS, pids=ENDLESS), r"too few file descriptors .*: [\d,]+ are free, 4,6"),
        (Needs(pids=ENDLESS), r"too few pids .*: [\d,]+ are free, 4,6"),
    ],
    ids=["disk", "memory", "descriptors", "pids"],
)
def test_needs_beyond_the_machine_are_named_one_at_a_time(tmp_path: Path, needs: Needs, names: str) -> None:
    """The first of disk, memory, descriptors and pids is named with its amount, and without a path."""
    said = shortage(tmp_path, needs)
    assert said
    assert re.search(names, said)
    assert "/" not in said


@pytest.mark.parametrize(
    ("need", "amount", "expected"),
    [
        (
            "disk_bytes",
            3 * MB,
            "There is too little disk space for one more session: 2.0 MB is free, 3.0 MB is needed",
        ),
        ("disk_bytes", 2 * MB, "None"),
        ("inodes", 20, "There are too few inodes for one more session: 9 are free, 20 are needed"),
        ("inodes", 9, "None"),
    ],
    ids=["disk", "enough-disk", "inodes", "enough-inodes"],
)
def test_small_disk_under_a_clones_directory_to_be_is_noticed(
    tmp_path: Path, need: str, amount: int, expected: str
) -> None:
    """The relevant filesystem is the one on which the clones directory would be made."""
    enter: list[str | Path] = [
        "unshare",
        *([] if os.getuid() == 0 else ["--user", "--map-root-user"]),
        "--mount",
        "sh",
        "-c",
    ]
    mount = 'mount -t tmpfs -o size=2m,nr_inodes=10 none "$0"'
    if subprocess.run([*enter, mount, tmp_path], check=False, capture_output=True).returncode:
        pytest.skip("a filesystem can't be mounted here")
    command: list[str | Path] = [
        sys.executable,
        "-c",
        ON_A_SMALL_DISK,
        tmp_path / "not" / "there",
        need,
        str(amount),
    ]
    assert says(*enter, f'{mount} && exec "$@"', tmp_path, *command) == expected


@pytest.mark.parametrize(("spare", "free"), [(20, None), (19, 19), (1, 1), (0, 0)])
def test_few_descriptors_are_noticed(spare: int, free: int | None) -> None:
    """The process's own limit counts, minus its open descriptors, down to the last one."""
    said = says(sys.executable, "-c", WITH_FEW_DESCRIPTORS, str(spare))
    expected = f"There are too few file descriptors for one more session: {free} are free, 20 are needed"
    assert said == ("None" if free is None else expected)


def test_few_pids_for_the_user_are_noticed() -> None:
    """The user's own limit counts, minus all threads of the user; a need of none is always met."""
    free, needing_some, needing_none = says(sys.executable, "-c", WITH_FEW_PIDS).splitlines()
    assert int(free) <= 14
    expected = f"There are too few pids for one more session: {free} are free, 16 are needed"
    assert (needing_some, needing_none) == (expected, "None")


def control_group(folder: Path, **files: str) -> None:
    """Write the files of a control group; the first `_` in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")


def shortage_in(cgroups: Path, own: str, needs: Needs, promised: Needs = NOTHING) -> str | None:
    """Return the shortage of a process in the control groups `own`, which is in /proc's format."""
    named = cgroups / "named"
    named.write_text(own)
    return shortage(cgroups, needs, promised=promised, cgroups=cgroups, own_cgroups=named)


ONE_GB = Needs(disk_bytes=0, inodes=0, memory_bytes=GB, file_descriptors=0, pids=0)
HALF_FREE = "There is too little memory for one more session: 512.0 MB is free, 1.0 GB is needed"
V2 = "0::/system.slice/greenroom.service\n"
V1 = "4:memory:/docker/1a73\n8:pids:/docker/1a73\n0::/\n"


@pytest.mark.parametrize(
    "group", ["system.slice/greenroom.service", "system.slice", ".", "unified/system.slice"]
)
def test_memory_limit_of_a_control_group_counts(tmp_path: Path, group: str) -> None:
    """The limit of our own group or any above it counts, minus usage that can't be reclaimed."""
    control_group(tmp_path / "system.slice/greenroom.service", memory_max="max", memory_current="0")
    assert shortage_in(tmp_path, V2, ONE_GB) is None
    control_group(
        tmp_path / group,
        memory_max=str(2 * GB),
        memory_current=str(1700 * MB),
        memory_stat=f"anon 1000\ninactive_file {164 * MB}\nactive_file 99999999999",
    )
    assert shortage_in(tmp_path, V2, ONE_GB) == HALF_FREE
    control_group(tmp_path / group, memory_current=str(1188 * MB))
    assert shortage_in(tmp_path, V2, ONE_GB) is None


@pytest.mark.parametrize("group", ["memory/docker/1a73", "memory"], ids=["by-name", "as-mounted"])
def test_memory_limit_of_a_version_1_control_group_counts(tmp_path: Path, group: str) -> None:
    """Version 1 has other names, and a container may see only its own group at the mount point."""
    control_group(
        tmp_path / group,
        memory_limit_in_bytes=str(2 * GB),
        memory_usage_in_bytes=str(1700 * MB),
        memory_stat=f"inactive_file 0\ntotal_inactive_file {164 * MB}",
    )
    assert shortage_in(tmp_path, V1, ONE_GB) == HALF_FREE
    control_group(tmp_path / group, memory_limit_in_bytes="9223372036854771712")
    assert shortage_in(tmp_path, V1, ONE_GB) is None


@pytest.mark.parametrize(
    ("own", "group"),
    [(V2, "system.slice/greenroom.service"), (V2, "."), (V1, "pids/docker/1a73")],
)
def test_pid_limit_of_a_control_group_counts(tmp_path: Path, own: str, group: str) -> None:
    """The group's pids count against its limit; an exceeded limit leaves none; `max` is not a limit."""
    needs = Needs(disk_bytes=0, inodes=0, memory_bytes=0, file_descriptors=0, pids=50)
    for limit, free in (("120", None), ("119", 49), ("60", 0)):
        control_group(tmp_path / group, pids_max=limit, pids_current="70")
        sentence = f"There are too few pids for one more session: {free} are free, 50 are needed"
        assert shortage_in(tmp_path, own, needs) == (None if free is None else sentence)
    control_group(tmp_path / group, pids_max="max")
    assert shortage_in(tmp_path, own, needs) is None


def test_what_is_promised_counts_as_taken(tmp_path: Path) -> None:
    """What was promised to others, and is not taken yet, is not free."""
    control_group(
        tmp_path, memory_max=str(4 * GB), memory_current=str(2 * GB), pids_max="100", pids_current="10"
    )
    promised = attrs.evolve(NOTHING, memory_bytes=GB)
    assert shortage_in(tmp_path, V2, ONE_GB, promised) is None
    promised = attrs.evolve(NOTHING, memory_bytes=GB + 512 * MB)
    assert shortage_in(tmp_path, V2, ONE_GB, promised) == (
        "There is too little memory for one more session: 512.0 MB is free, 1.0 GB is needed"
    )
    promised = attrs.evolve(NOTHING, memory_bytes=9 * GB)
    assert shortage_in(tmp_path, V2, ONE_GB, promised) == (
        "There is too little memory for one more session: 0 bytes is free, 1.0 GB is needed"
    )
    needs, promised = attrs.evolve(NOTHING, pids=50), attrs.evolve(NOTHING, pids=60)
    assert "30 are free, 50 are needed" in str(shortage_in(tmp_path, V2, needs, promised))


@pytest.mark.parametrize("what", ["disk_bytes", "memory_bytes", "pids"])
def test_endless_promise_leaves_no_room(tmp_path: Path, what: str) -> None:
    """Promises can use up all the room."""
    needs = attrs.evolve(NOTHING, **{what: 1})
    assert shortage(tmp_path, needs) is None
    assert shortage(tmp_path, needs, promised=attrs.evolve(NOTHING, **{what: ENDLESS})) is not None


@pytest.mark.parametrize("garbage", ["", "garbage\n\x00", "-1"])
def test_control_group_that_says_nothing_is_no_limit(tmp_path: Path, garbage: str) -> None:
    """A missing file, or one without a number, leaves the other limits as they are."""
    control_group(tmp_path, memory_max=garbage, memory_current="1", pids_max="5", pids_current=garbage)
    assert shortage_in(tmp_path, V2, NOTHING) is None
    control_group(tmp_path, memory_max="1", memory_current="1", memory_stat=garbage)
    assert "too little memory" in str(shortage_in(tmp_path, V2, ONE_GB))
