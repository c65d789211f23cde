"""Kills a process at one exact step of its work on files, for tests that try every step."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

STEPS = frozenset(
    {"open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "os.chmod"}
)


class Killed(BaseException):
    """Raised in place of a step, where SIGKILL would have struck."""


class _Victim(threading.local):
    steps_left: int | None = None


_victim = _Victim()


def step() -> None:
    """Count a step of a process that may be killed; a dead one takes no further steps."""
    if _victim.steps_left is not None:
        _victim.steps_left -= 1
        if _victim.steps_left < 0:
            raise Killed


def _audit(event: str, _: tuple[Any, ...]) -> None:
    if event in STEPS:
        step()


@contextlib.contextmanager
def killed_at(steps: int) -> Iterator[None]:
    """Kill the block at step number `steps`, counted from 0; a block with fewer steps completes."""
    _hook_in()
    _victim.steps_left = steps
    try:
        yield
    except Killed:
        pass
    finally:
        _victim.steps_left = None


def _hook_in(_done: list[bool] = []) -> None:  # noqa: B006  # once a process: there is no way back
    if not _done:
        _done.append(True)
        sys.addaudithook(_audit)
