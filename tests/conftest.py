"""What every test shares: the check, after the last one, that nothing is left behind."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from actors.browser import own_processes
from actors.browser.cells import MARKER


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests on real browsers last: what is cheap fails first."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the suite if it leaves a process, a socket, a clone, or a temporary directory."""
    scratch_before = _scratch()
    marked_before = _marked_pids()
    yield
    here = psutil.Process()
    assert [p for p in here.children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE] == []
    assert own_processes() == []
    assert _marked_pids() - marked_before == set()
    assert here.net_connections(kind="all") == []
    assert _scratch() - scratch_before == set()
    assert [path for path in tmp_path_factory.getbasetemp().glob("*/clones/*") if path.is_dir()] == []


def _scratch() -> set[Path]:
    """Return the temporary directories of hosts, drivers and demos."""
    temporary = Path(tempfile.gettempdir())
    return {*temporary.glob("greenroom-*"), *temporary.glob("playwright-artifacts-*")}


def _marked_pids() -> set[int]:
    """Return the processes that carry any daemon's marker: daemons started as programs included."""
    pids = set()
    for process in psutil.process_iter():
        try:
            if MARKER in process.environ():
                pids.add(process.pid)
        except (psutil.Error, OSError):
            continue
    return pids
