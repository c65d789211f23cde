"""Cancellation at one exact checkpoint, for tests that try the checkpoints one after another."""

import contextlib
from collections.abc import Iterator

import attrs
import trio


@attrs.define(eq=False)
class _CancelAtStep(trio.abc.Instrument):
    scope: trio.CancelScope
    task: trio.lowlevel.Task
    steps: int

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the task's steps and cancel at the wanted one."""
        if task is self.task:
            self.steps -= 1
            if self.steps == 0:
                self.scope.cancel(reason="a test")


@contextlib.contextmanager
def cancelled_at_step(steps: int) -> Iterator[trio.CancelScope]:
    """Cancel the block at its `steps`-th checkpoint, counted from 1, in the task that runs it."""
    with trio.CancelScope() as scope:
        instrument = _CancelAtStep(scope, trio.lowlevel.current_task(), steps)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield scope
        finally:
            trio.lowlevel.remove_instrument(instrument)
