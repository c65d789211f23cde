"""Ending processes by their marker ends all of ours and nobody else's."""

import errno
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from greenroom.actors.browser.cells import marks
from greenroom.actors.browser.cells.marks import end_marked, kill_marked, pids_of
from greenroom.actors.owner import MARKER, OWNER
from tests.actors.ledger.daemons import sleeping
from tests.patience import patience

_FOREIGN_UID = 65534
MARK = f"{OWNER}.marks"


@pytest.fixture
def unkillable(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let SIGKILL do nothing, as in an uninterruptible sleep, until the returned patch is undone."""
    monkeypatch.setattr(marks, "REAP_S", 0.2)
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)
    return monkeypatch


def test_processes_that_cant_be_killed_are_named_and_not_waited_for(unkillable: pytest.MonkeyPatch) -> None:
    """Ending a cell takes a bounded time and returns what is left of it."""
    with sleeping(MARK) as process:
        assert end_marked([MARK]) == {MARK: [process.pid]}
        unkillable.undo()
        assert end_marked([MARK]) == {}


def test_processes_that_cant_be_seen_do_not_count_as_gone(unkillable: pytest.MonkeyPatch) -> None:
    """Without a free file descriptor nobody knows what is left, so something may be."""

    def refuse() -> list[int]:
        raise OSError(errno.EMFILE, "Too many open files")

    unkillable.setattr(psutil, "pids", refuse)
    assert end_marked([MARK]) == {MARK: [0]}


def test_process_missed_for_want_of_a_descriptor_does_not_count_as_gone(
    unkillable: pytest.MonkeyPatch,
) -> None:
    """The processes could be listed, but without another descriptor one of them couldn't be read."""

    def refuse(path: str, *args: int) -> int:
        if path.startswith("/proc/"):
            raise OSError(errno.EMFILE, "Too many open files")
        return os_open(path, *args)

    os_open = os.open
    with sleeping(MARK):
        unkillable.setattr(os, "open", refuse)
        assert end_marked([MARK]) == {MARK: [0]}
        unkillable.undo()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start another user's process, or end it")
def test_another_users_process_with_a_forged_marker_is_not_ours() -> None:
    """Root's daemon neither counts nor kills it."""
    forged = subprocess.Popen(["sleep", "600"], env={MARKER: MARK}, user=_FOREIGN_UID)
    try:
        with sleeping(MARK) as ours:
            assert pids_of(MARK) == [ours.pid]
            assert end_marked([MARK]) == {}
            assert ours.wait(patience(5)) == -signal.SIGKILL
        assert forged.poll() is None
    finally:
        forged.kill()
        forged.wait()


def test_marker_is_checked_again_once_there_is_a_handle(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the pid belongs to another process by then, that process is not killed."""
    pidfd_open = os.pidfd_open

    def change_and_open(pid: int) -> int:
        assert process.stdin is not None
        pidfd = pidfd_open(pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        while b"else=1" not in Path(f"/proc/{pid}/environ").read_bytes():
            assert process.poll() is None
        return pidfd

    command = ["sh", "-c", "read _; exec env -i else=1 sleep 600"]
    environ = {**os.environ, MARKER: MARK}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environ) as process:
        try:
            while not pids_of(MARK):
                assert process.poll() is None
            with monkeypatch.context() as patch:
                patch.setattr(os, "pidfd_open", change_and_open)
                patch.setattr(signal, "pidfd_send_signal", lambda *_: pytest.fail("it was killed"))
                assert kill_marked([MARK]) == 1
        finally:
            process.kill()
