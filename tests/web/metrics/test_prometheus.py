"""A real Prometheus collects from a daemon, with the alerts and the dashboard's queries of docs."""

import json
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio
from structlog.testing import capture_logs

from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from tests.patience import patience
from tests.web.http.front import NO_CERTIFICATES, open_front
from tests.web.metrics.test_monitoring_page import ALERTS, queries

TOKEN = "correct-horse-battery"
PATIENCE_S = patience(20.0)
# What Grafana puts in for its variables.
VARIABLES = {"$__rate_interval": "1m", "$job": "greenroom", "$instance": ".*"}


@attrs.frozen
class Prometheus:
    """A client of a Prometheus that may be starting."""

    _client: httpx.AsyncClient

    async def ask(self, path: str, **query: str) -> Any:
        """Return the data of an answer, which must be a success. Waits until there is an answer at all."""
        while True:
            try:
                answer = await self._client.get(path, params=query)
            except httpx.TransportError:
                await trio.sleep(0.05)
                continue
            if answer.status_code != 503:
                break
        body = answer.json()
        assert body["status"] == "success", (query, body)
        return body["data"]

    async def query(self, query: str) -> list[dict[str, Any]]:
        """Return the series that a query finds now."""
        found: list[dict[str, Any]] = (await self.ask("query", query=query))["result"]
        return found

    async def alerts(self, state: str) -> dict[str, dict[str, str]]:
        """Return the labels of the alerts in a state, by their names."""
        found = (await self.ask("alerts"))["alerts"]
        return {one["labels"]["alertname"]: one["labels"] for one in found if one["state"] == state}

    async def alert(self, name: str, state: str) -> dict[str, str] | None:
        """Return the labels of an alert, if it is in that state."""
        return (await self.alerts(state)).get(name)


@asynccontextmanager
async def open_prometheus(address: str, target: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Run Prometheus at `address` for the length of the block.

    It asks `target`, and tries the alerts, twice a second.
    """
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms", "scrape_timeout": "500ms"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [
            {
                "job_name": "greenroom",
                "scrape_timeout": "500ms",
                "static_configs": [{"targets": [target]}],
                "authorization": {"credentials": TOKEN},
            }
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))  # JSON is YAML, too
    process = await trio.lowlevel.open_process(
        [
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=error",
        ],
        stdin=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(
            base_url=f"http://{address}/api/v1/", trust_env=False, verify=NO_CERTIFICATES
        ) as client:
            yield Prometheus(client)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@contextmanager
def reserved_address() -> Iterator[str]:
    """Keep an address from all who ask for any, for the length of the block.

    Who names it gets it: a socket that does not listen lets others have its port, if both set SO_REUSEADDR.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """Wait until `condition` returns something that is not empty, and return that."""
    with trio.fail_after(PATIENCE_S):
        while not (found := await condition()):
            await trio.sleep(0.1)
    return found


async def test_prometheus_collects_from_a_daemon_and_its_alerts_fire(tmp_path: Path) -> None:
    """One fires when the profile is logged out, another waits for its minute when the daemon is gone.

    Each query of the dashboard is one that Prometheus understands.
    """
    machine = FakeMachine()
    async with AsyncExitStack() as stack:
        address, target = (stack.enter_context(reserved_address()) for _ in range(2))
        prometheus = await stack.enter_async_context(open_prometheus(address, target, tmp_path))
        async with open_front(machine, bind=target, token=TOKEN) as front:
            front.client.headers["Authorization"] = f"Bearer {TOKEN}"
            await front.establish()
            [live] = await until(lambda: prometheus.query('greenroom_sessions{state="live"} == 1'))
            assert live["metric"] == {
                "__name__": "greenroom_sessions",
                "instance": target,
                "job": "greenroom",
                "profile": "default",
                "state": "live",
            }
            [group] = (await prometheus.ask("rules"))["groups"]
            assert group["file"] == str(ALERTS)
            await until(lambda: evaluated(prometheus))
            assert await prometheus.alerts("firing") == {}

            machine.page = LoginState.LOGGED_OUT
            with capture_logs():
                assert (await front.create()).status_code == 409
            assert await until(lambda: prometheus.alert("GreenroomLoginLost", "firing")) == {
                "alertname": "GreenroomLoginLost",
                "instance": target,
                "job": "greenroom",
                "profile": "default",
                "severity": "critical",
            }
            for query in queries():
                await prometheus.query(with_variables(query))
            requested = with_variables(next(query for query in queries() if "requested" in query))
            [shown] = await until(lambda: prometheus.query(requested))
            assert shown["value"][1] == "1"
            await until(lambda: is_over(prometheus, "GreenroomDown"))  # the daemon was not there at first
        [down] = await until(lambda: prometheus.query("up == 0"))
        assert down["metric"]["instance"] == target
        assert await until(lambda: prometheus.alert("GreenroomDown", "pending"))


async def is_over(prometheus: Prometheus, alert: str) -> bool:
    return alert not in await prometheus.alerts("pending") | await prometheus.alerts("firing")


async def evaluated(prometheus: Prometheus) -> bool:
    """Whether every alert has been tried, without an error. Fails if there was one."""
    [group] = (await prometheus.ask("rules"))["groups"]
    assert [rule["lastError"] for rule in group["rules"] if rule.get("lastError")] == []
    return all(rule["health"] == "ok" for rule in group["rules"])


def with_variables(query: str) -> str:
    """Return a query of the dashboard as Grafana sends it."""
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    return query
