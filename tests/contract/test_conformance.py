"""The daemon does what its description says, and only that, whatever Schemathesis sends it."""

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import trio
from structlog.testing import capture_logs

from greenroom.actors.testing import FakeMachine
from tests.patience import patience
from tests.web.http.front import open_front

CONFIG = Path(__file__).with_name("schemathesis.toml")
IS_LONG = hypothesis.settings().max_examples > 1000  # as in `make fuzz`


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Serve sessions of a fake machine in a thread; yield the address. They end by themselves, soon."""
    started: queue.SimpleQueue[tuple[str, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.SimpleQueue()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with open_front(
                FakeMachine(), max_sessions=500, max_session_duration=20, max_extended_duration=60
            ) as front:
                started.put((front.url, trio.lowlevel.current_trio_token(), scope))
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    try:
        url, token, scope = started.get(timeout=patience(20))
        yield url
        token.run_sync_soon(scope.cancel)
    finally:
        thread.join(patience(20))


@pytest.mark.hypothesis
def test_daemon_conforms_to_its_description(tmp_path: Path) -> None:
    """No answer is a 500 or is not described: status, headers, code, body; what is not described is refused.

    A few requests for each operation here, always the same; thousands, at random, in `make fuzz`.
    """
    how = ["--max-examples", "60"] if IS_LONG else ["--max-examples", "3", "--seed", "1"]
    phases = "examples,coverage,fuzzing,stateful" if IS_LONG else "examples,fuzzing"
    with serving() as url, capture_logs() as logs:
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG),
                *("run", f"{url}/openapi.json", "--checks", "all", "--phases", phases),
                *("--request-timeout", str(patience(10)), "--no-shrink", *how),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(3600 if IS_LONG else 120),
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert [entry for entry in logs if entry["event"] in {"request failed", "a connection failed"}] == []
    answered = {entry["code"] for entry in logs if entry["event"] == "request refused"}
    assert {
        "INVALID_REQUEST",
        "SESSION_NOT_FOUND",
        "SESSION_ENDED",
    } <= answered  # it has reached sessions, too
