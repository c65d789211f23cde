"""Reading metrics as Prometheus does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from greenroom import Supervisor, SupervisorConfig, open_supervisor
from greenroom.actors.actions.actions import Click
from greenroom.actors.commands import Act
from greenroom.actors.testing import FakeMachine
from greenroom.web.metrics.metrics import LAG_PERIOD_S, Metrics, open_metrics


def parse(text: str) -> dict[str, Metric]:
    """Return metrics by their names, as they are in Prometheus's text format."""
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return each sample's value by its name and the values of its labels, in their names' order."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(text).values()
        for sample in family.samples
    }


@attrs.frozen
class Watched:
    """A supervisor on a fake machine, and its metrics."""

    machine: FakeMachine
    supervisor: Supervisor
    metrics: Metrics

    def text(self) -> str:
        """Return the metrics as they are now."""
        return self.metrics.expose("")[0].decode()

    def value(self, name: str, *labels: str) -> float | None:
        """Return a sample's value; None if there is no such sample."""
        return samples(self.text()).get((f"greenroom_{name}", *labels))

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Return what there is of a metric that is not 0, by the values of its labels."""
        own = f"greenroom_{name}"
        found = samples(self.text())
        return {key[1:]: value for key, value in found.items() if key[0] == own and value}


async def live_a_life(seen: Watched) -> str:
    """Have every metric say something: one session, with an action; return the text."""
    info = await seen.supervisor.create_session()
    await seen.supervisor.handle(info.id).run(Act((Click(target="#go"),)))
    seen.text()
    await trio.sleep(2 * LAG_PERIOD_S)
    await seen.supervisor.end_session(info.id)
    return seen.text()


@asynccontextmanager
async def watched(machine: FakeMachine | None = None, **settings: object) -> AsyncIterator[Watched]:
    """Run a supervisor on a fake machine, and count and measure what it does."""
    machine = machine or FakeMachine()
    config = SupervisorConfig(**{"warm_sessions": 0, **settings})  # type: ignore[arg-type]
    async with open_supervisor(config, machine=machine) as supervisor, open_metrics(supervisor) as metrics:
        yield Watched(machine, supervisor, metrics)
