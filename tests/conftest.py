"""Shared by all tests: Hypothesis's profiles, and a final check that nothing is left behind."""

import contextlib
import itertools
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest
import structlog

from greenroom.actors.browser.cells.marks import own_processes

# Every process that the tests start inherits this variable, and so do its children; browser hosts don't.
RUN = "PYTEST_RUN_OF_GREENROOM"

# Examples have no deadline, since a busy machine makes any of them slow. `make fuzz` uses the profile "fuzz".
hypothesis.settings.register_profile("suite", deadline=None, max_examples=50)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("suite")

# structlog's own way to show an error with all that its functions know takes seconds for each.
*_before, _console = structlog.get_config()["processors"]
_plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*_before, _plain])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the tests on real browsers last, so that cheap tests fail first.

    Several workers start with them instead, each with its share, since slow tests must not come last.
    Worksteal gives each worker one contiguous part of the list, and steals from the ends of the parts.
    """
    real = [item for item in items if item.get_closest_marker("browser") is not None]
    rest = [item for item in items if item.get_closest_marker("browser") is None]
    workers = getattr(config, "workerinput", {"workercount": 0})["workercount"]
    if not workers:
        items[:] = rest + real
        return
    ends = [len(rest) * share // workers for share in range(workers + 1)]
    shares = [
        real[share::workers] + rest[start:end] for share, (start, end) in enumerate(itertools.pairwise(ends))
    ]
    items[:] = itertools.chain.from_iterable(shares)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the suite if it leaves a process, a socket, a clone or a temporary directory."""
    tmp_path_factory.getbasetemp()  # made now, in the old place for temporary files
    scratch = Path(tempfile.mkdtemp(prefix="greenroom-tests-"))
    scratch.chmod(0o1777)  # some tests continue as another user
    os.environ[RUN] = uuid.uuid4().hex
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    # Daemons keep their history there, not in the home of whoever runs the tests.
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    tempfile.tempdir = None
    here = psutil.Process()
    assert [p for p in here.children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE] == []
    assert own_processes() == []
    assert _started_by_this_run(str(scratch), str(tmp_path_factory.getbasetemp())) == []
    assert here.net_connections(kind="all") == []
    assert list(scratch.iterdir()) == []
    scratch.rmdir()
    assert [path for path in tmp_path_factory.getbasetemp().glob("*/clones/*") if path.is_dir()] == []


def _started_by_this_run(*folders: str) -> list[psutil.Process]:
    """Return the processes that the tests started and that still run, daemons and browsers included.

    Browsers don't inherit the variable. They are found by their temporary files, in the tests' folders.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            environ = process.environ()
            is_ours = environ.get(RUN) == os.environ[RUN] or environ.get("TMPDIR", "").startswith(folders)
            if is_ours and process.pid != os.getpid():
                found.append(process)
    return found
