"""The metrics of one daemon, in a registry of their own."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import trio
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from greenroom.supervisor.api import Supervisor
from greenroom.web.metrics.hearing import Counts
from greenroom.web.metrics.leaks import LeakWatch
from greenroom.web.metrics.looking import Gauges

# How often to look how late the event loop is.
LAG_PERIOD_S: Final = 1.0


class Metrics:
    """What a daemon counts and measures: `counts` of what happens, and how things are when it is asked.

    Counting takes `open_metrics`.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.counts = Counts(self._registry)
        self.leaks = LeakWatch(supervisor)
        self._registry.register(Gauges(supervisor, self.leaks))

    def expose(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in the format that an Accept header asks for, and its content type.

        Takes a few milliseconds, and waits for nothing.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    async def watch_loop(self) -> None:
        """Note again and again how late the event loop runs a task that is due."""
        while True:
            due = trio.current_time() + LAG_PERIOD_S
            await trio.sleep_until(due)
            self.counts.loop_lag_s.observe(trio.current_time() - due)


@contextlib.asynccontextmanager
async def open_metrics(supervisor: Supervisor) -> AsyncIterator[Metrics]:
    """Count and measure what `supervisor` does, for the length of the block."""
    metrics = Metrics(supervisor)
    with supervisor.events.subscribed(metrics.counts.hear):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(metrics.watch_loop)
            nursery.start_soon(metrics.leaks.run)
            yield metrics
            nursery.cancel_scope.cancel(reason="nobody asks for metrics any more")
