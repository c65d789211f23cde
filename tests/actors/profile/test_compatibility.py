"""A profile that a newer Firefox has used is cloned so that ours opens it."""

import os
import subprocess
from pathlib import Path

import pytest
import trio

from greenroom.actors.browser.engines import find_firefox
from greenroom.actors.profile import ProfileCloner, last_version, newer_than
from greenroom.actors.profile.lock import find_browser
from tests.actors.profile.profile_trees import make_profile, snapshot
from tests.patience import patience

INI = "[Compatibility]\nLastVersion={}\nLastOSABI=Linux_x86_64-gcc3\nLastPlatformDir=/usr/lib/firefox\n"


@pytest.mark.parametrize(
    ("last", "engine", "newer"),
    [
        ("153.7.0_20261103151912/20261103151912", "140.4.0esr", True),
        ("140.10.0_20261103151912/20261103151912", "140.9.0esr", True),
        ("140.0.1_2026/2026", "140.0", True),
        ("140.0_2026/2026", "140.0.0", False),
        ("140.4.0_2026/2026", "140.4.0esr", False),
        ("135.0.1-beta.24_2026/2026", "140.4.0esr", False),
        ("135.0.1-beta.25_2026/2026", "135.0.1-beta.24", True),
        ("135.0.1-beta.24_2026/2026", "135.0.1-beta.24", False),
        ("153.7.0_2026/2026", "unknown", False),
        ("nonsense", "140.0", False),
        ("", "140.0", False),
    ],
)
def test_newer_browser_is_told_by_its_version(tmp_path: Path, last: str, engine: str, newer: bool) -> None:
    """Versions are compared by their numbers; one that can't be compared is not newer."""
    (tmp_path / "compatibility.ini").write_text(INI.format(last))
    assert newer_than(tmp_path, engine) == (last.partition("_")[0] if newer else None)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\0", b"[Compatibility]\nLastOSABI=x\n"])
def test_profile_that_does_not_say_is_not_newer(tmp_path: Path, content: bytes | None) -> None:
    """A profile may lack the file, or have a damaged one."""
    if content is not None:
        (tmp_path / "compatibility.ini").write_bytes(content)
    assert last_version(tmp_path) is None
    assert newer_than(tmp_path, "140.0") is None


@pytest.mark.parametrize(("engine", "kept"), [("140.4.0esr", False), ("153.7.0", True), ("", True)])
async def test_clone_does_not_say_that_a_newer_browser_used_it(
    tmp_path: Path, engine: str, kept: bool
) -> None:
    """Otherwise the file stays, and the caches that depend on it; the master always keeps its file."""
    master = make_profile(tmp_path / "master")
    (master / "compatibility.ini").write_text(INI.format("153.7.0_2026/2026"))
    before = snapshot(master)
    cloner = ProfileCloner(master=master, clones_dir=tmp_path / "clones", engine_version=engine)
    async with cloner.open_clone("a") as clone:
        assert (clone / "compatibility.ini").exists() == kept
    assert snapshot(master) == before


@pytest.mark.browser
async def test_real_firefox_starts_on_the_clone_of_a_newer_ones_profile(tmp_path: Path) -> None:
    """On the newer Firefox's own profile, without a display, ours would exit at once."""
    firefox = find_firefox()
    assert firefox is not None
    master = make_profile(tmp_path / "master")
    (master / "cookies.sqlite").unlink()
    (master / "compatibility.ini").write_text(INI.format("999.0_2099/2099"))
    cloner = ProfileCloner(master=master, clones_dir=tmp_path / "clones", engine_version=firefox.version)
    async with cloner.open_clone("a") as clone:
        command = [
            str(firefox.executable),
            "--headless",
            "--no-remote",
            "--profile",
            str(clone),
            "about:blank",
        ]
        process = await trio.lowlevel.open_process(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        )
        try:
            with trio.fail_after(patience(30)):
                while not (find_browser(clone) and (clone / "cookies.sqlite").exists()):
                    assert process.returncode is None
                    await trio.sleep(0.05)
        finally:
            process.terminate()
            with trio.move_on_after(patience(15), shield=True):
                await process.wait()
            process.kill()
