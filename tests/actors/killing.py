"""A process killed at one exact step of its work on files, for tests that try them one after another."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

STEPS = frozenset(
    {"open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "os.chmod"}
)


class Killed(BaseException):
    """What was to be killed here."""


class _Victim(threading.local):
    steps_left: int | None = None


_victim = _Victim()


def step() -> None:
    """Count a step of one that may be killed; a dead one takes no further steps either."""
    if _victim.steps_left is not None:
        _victim.steps_left -= 1
        if _victim.steps_left < 0:
            raise Killed


def _audit(event: str, _: tuple[Any, ...]) -> None:
    if event in STEPS:
        step()


@contextlib.contextmanager
def killed_at(steps: int) -> Iterator[None]:
    """Kill the block at its step number `steps`, counted from 0; a block with fewer goes through."""
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
