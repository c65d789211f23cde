"""Whether a profile is in use, and what that means for cloning it."""

import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from greenroom.actors.errors import ProfileLocked
from greenroom.actors.profile import ProfileCloner
from greenroom.actors.profile import cloner as clones
from greenroom.actors.profile.copy import Progress, copy_profile
from greenroom.actors.profile.lock import find_browser, last_opened_ns
from tests.actors.profile.profile_trees import flocked, locked_by_other_process, make_profile, snapshot
from tests.patience import patience

FIREFOX = "/usr/bin/firefox-esr"


@pytest.fixture
def master(tmp_path: Path) -> Path:
    """Return a master profile that nobody uses."""
    return make_profile(tmp_path / "master")


@pytest.fixture
def cloner(master: Path, tmp_path: Path) -> ProfileCloner:
    """Return a cloner of `master`."""
    return ProfileCloner(master=master, clones_dir=tmp_path / "clones")


def test_stale_lock_marks_are_no_lock(master: Path) -> None:
    """The files that a dead Firefox leaves behind do not lock a profile."""
    assert not find_browser(master)


def test_profile_without_lock_file_is_not_locked(master: Path, tmp_path: Path) -> None:
    """A profile that no Firefox ever opened, a missing one, and a file in its place are not locked."""
    (master / ".parentlock").unlink()
    assert not find_browser(master)
    assert not find_browser(tmp_path / "missing")
    assert not find_browser(master / "prefs.js")


def test_lock_of_other_process_is_seen_until_it_dies(master: Path) -> None:
    """The fcntl lock counts, and ends with its holder, even a killed one."""
    with locked_by_other_process(master):
        assert find_browser(master)
    assert not find_browser(master)


def test_flock_on_the_lock_file_is_no_lock(master: Path) -> None:
    """Only Firefox's kind of lock counts."""
    with flocked(master / ".parentlock"):
        assert not find_browser(master)


def test_fifo_as_lock_file_does_not_block(master: Path) -> None:
    """A FIFO with the lock file's name does not block the check."""
    (master / ".parentlock").unlink()
    os.mkfifo(master / ".parentlock")
    assert not find_browser(master)


def test_asking_leaves_no_trace_and_takes_no_time(master: Path) -> None:
    """The check writes nothing, doesn't take the lock away, and takes far less than a millisecond."""
    with locked_by_other_process(master):
        before = snapshot(master)
        began = time.thread_time()
        assert all(find_browser(master) for _ in range(1000))
        assert time.thread_time() - began < 1
        assert snapshot(master) == before


def test_opening_a_profile_shows_in_its_last_opening(master: Path) -> None:
    """Firefox truncates the lock file at each start, which moves the time; 0 means never."""
    before = last_opened_ns(master)
    time.sleep(0.02)  # file times advance with the kernel's tick
    with locked_by_other_process(master):
        assert last_opened_ns(master) > before > 0
    (master / ".parentlock").unlink()
    assert last_opened_ns(master) == 0


async def test_locked_master_is_refused_at_once(cloner: ProfileCloner) -> None:
    """A master in use is refused within milliseconds, before anything is made."""
    with locked_by_other_process(cloner.master):
        before = snapshot(cloner.master)
        with trio.fail_after(patience(0.1)), pytest.raises(ProfileLocked):
            async with cloner.open_clone("a"):
                pytest.fail("a locked profile was cloned")
        assert not cloner.clones_dir.exists()
        assert snapshot(cloner.master) == before


async def test_master_locked_while_copying_discards_the_clone(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the master is in use once its copy is complete, the copy is discarded."""
    with ExitStack() as browser:

        def copy_while_opened(
            master: Path, clone: Path, progress: Progress, leave_out: frozenset[str]
        ) -> None:
            copy_profile(master, clone, progress, leave_out)
            opened_ns = last_opened_ns(master)
            browser.enter_context(locked_by_other_process(master))
            os.utime(master / ".parentlock", ns=(opened_ns, opened_ns))

        monkeypatch.setattr(clones, "copy_profile", copy_while_opened)
        with pytest.raises(ProfileLocked):
            async with cloner.open_clone("a"):
                pytest.fail("a copy that may be torn was handed out")
    assert not any(cloner.clones_dir.iterdir())


async def test_master_opened_and_closed_while_copying_discards_the_clone(
    cloner: ProfileCloner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser that came and went during the copy may have torn it, so the copy is discarded too."""

    def copy_while_opened(master: Path, clone: Path, progress: Progress, leave_out: frozenset[str]) -> None:
        copy_profile(master, clone, progress, leave_out)
        time.sleep(0.02)  # file times advance with the kernel's tick
        with locked_by_other_process(master):
            pass

    monkeypatch.setattr(clones, "copy_profile", copy_while_opened)
    with pytest.raises(ProfileLocked):
        async with cloner.open_clone("a"):
            pytest.fail("a copy that may be torn was handed out")
    assert not any(cloner.clones_dir.iterdir())


@pytest.mark.browser
async def test_real_firefox_locks_its_profile_until_it_ends(tmp_path: Path) -> None:
    """A profile that Firefox has open is not cloned; once Firefox has exited, it can be."""
    master = tmp_path / "master"
    master.mkdir()
    cloner = ProfileCloner(master=master, clones_dir=tmp_path / "clones")
    command = [FIREFOX, "--headless", "--no-remote", "--profile", str(master), "about:blank"]
    firefox = await trio.lowlevel.open_process(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # where a Firefox that is killed leaves files
    )
    try:
        with trio.fail_after(patience(30)):
            while not (find_browser(master) and (master / "prefs.js").exists()):
                await trio.sleep(0.02)
        opened_ns = last_opened_ns(master)
        with pytest.raises(ProfileLocked):
            async with cloner.open_clone("a"):
                pytest.fail("a profile in use was cloned")
    finally:
        firefox.terminate()
        with trio.move_on_after(patience(15), shield=True) as limit:
            await firefox.wait()
        if limit.cancelled_caught:
            firefox.kill()
    assert not find_browser(master)
    assert last_opened_ns(master) == opened_ns
    async with cloner.open_clone("b") as clone:
        assert (clone / "prefs.js").read_bytes() == (master / "prefs.js").read_bytes()
        assert not (clone / ".parentlock").exists()
