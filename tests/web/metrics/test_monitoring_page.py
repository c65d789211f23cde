"""docs/monitoring.md, the dashboard and the alerts name what the daemon shows, and nothing else."""

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from prometheus_client.metrics_core import Metric
from trio.testing import MockClock

from greenroom.actors.lifecycle import ProfileInfo
from greenroom.actors.testing import FakeMachine
from tests.web.metrics.reading import live_a_life, parse, watched

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "monitoring.md").read_text()
FOLDER = DOCS / "monitoring"
ALERTS = FOLDER / "alerts.yml"
DASHBOARD = json.loads((FOLDER / "grafana.json").read_text())
METRIC = re.compile(r"\b(?:greenroom|process)_[a-z_]+")
# Parts of a histogram, as they are asked for.
PARTS = ("_bucket", "_sum", "_count")


@pytest.fixture(scope="module")
def shown() -> dict[str, Metric]:
    """Return all that a daemon shows after one session, by the names that are in its text."""

    async def show() -> dict[str, Metric]:
        known = (ProfileInfo(name="default", login_expires_at=datetime(2030, 1, 1, tzinfo=UTC)),)
        async with watched(FakeMachine(known=known)) as seen:
            return parse(await live_a_life(seen))

    families = trio.run(show, clock=MockClock(autojump_threshold=0))
    return {f"{name}_total" if one.type == "counter" else name: one for name, one in families.items()}


def queries() -> Iterator[str]:
    """Yield every query of the dashboard's panels."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def bare(name: str, shown: dict[str, Metric]) -> str:
    """Return the name of the metric that a query's name is, or is a part of."""
    whole = next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name)
    return whole if whole in shown and shown[whole].type == "histogram" else name


def test_every_metric_is_described_with_its_type_and_labels(shown: dict[str, Metric]) -> None:
    """And the page describes no other."""
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \|([^|]*)\|", PAGE, re.MULTILINE)
    described = {name: (type_, set(re.findall(r"`(\w+)`", labels))) for name, type_, labels in rows}
    assert len(described) == len(rows)
    assert described == {
        name: (one.type, {label for sample in one.samples for label in sample.labels if label != "le"})
        for name, one in shown.items()
    }


@pytest.mark.parametrize("where", ["the dashboard", "the alerts"])
def test_every_metric_that_is_asked_for_is_shown(shown: dict[str, Metric], where: str) -> None:
    """A renamed metric would leave an empty graph, or an alert that never fires."""
    text = json.dumps(DASHBOARD) if where == "the dashboard" else ALERTS.read_text()
    asked = {bare(name, shown) for name in METRIC.findall(text)}
    assert len(asked) > 5
    assert asked <= set(shown)


def test_dashboard_shows_every_metric_of_greenroom(shown: dict[str, Metric]) -> None:
    """Of those of the process, it shows what people look for."""
    asked = {bare(name, shown) for name in METRIC.findall(json.dumps(DASHBOARD))}
    assert {name for name in shown if name.startswith("greenroom_")} == {
        name for name in asked if name.startswith("greenroom_")
    }


def test_dashboard_can_be_imported() -> None:
    """Its panels have ids of their own and don't overlap, and each query is of the chosen data source."""
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 20
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert not own & cells
        assert max(x for x, _ in own) < 24
        cells |= own
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "job", "instance"]
    assert DASHBOARD["id"] is None  # Grafana gives it one


def test_every_alert_says_what_to_do() -> None:
    """The page has a line on each, and on no other."""
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    assert len(alerts) > 8
    assert sorted(re.findall(r"^\| `(Greenroom\w+)` \|", PAGE, re.MULTILINE)) == sorted(alerts)


def test_every_file_is_linked() -> None:
    """From the page."""
    assert {f"monitoring/{file.name}" for file in FOLDER.iterdir()} == set(
        re.findall(r"\((monitoring/[\w.]+)\)", PAGE)
    )


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", str(ALERTS)),
        ("check", "config", str(FOLDER / "prometheus.yml")),
        ("test", "rules", str(Path(__file__).with_name("alerts.yml"))),
    ],
    ids=["alerts", "configuration", "alerts played out"],
)
def test_promtool_finds_no_fault(command: tuple[str, ...]) -> None:
    """The last one plays out when each alert fires, and when it doesn't."""
    done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alert_is_played_out() -> None:
    """By promtool, with the file beside this one."""
    played = Path(__file__).with_name("alerts.yml").read_text()
    fired = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", played))
    assert fired == set(re.findall(r"- alert: (\w+)", ALERTS.read_text()))
