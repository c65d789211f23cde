"""The daemon does what its description says, and only that, whatever Schemathesis sends it."""

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import hypothesis
import pytest
import trio
from structlog.testing import capture_logs

from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.secret import Secret
from greenroom.web.http.tokens import Scope, Token
from tests.patience import patience
from tests.web.http.front import open_front

CONFIG = Path(__file__).with_name("schemathesis.toml")
IS_LONG = hypothesis.settings().max_examples > 1000  # as in `make fuzz`


TOKENS: dict[str, Token] = {
    scope.word: Token(name=scope.word, secret=Secret(f"secret-of-{scope.word}-0123"), scope=scope)
    for scope in Scope
}
TOKENS["bound"] = attrs.evolve(
    TOKENS["control"], name="bound", secret=Secret("secret-of-bound-0123"), profiles=frozenset({"default"})
)


@contextlib.contextmanager
def serving(*tokens: Token) -> Iterator[str]:
    """Serve sessions of a fake machine in a thread; yield the address. They end by themselves, soon."""
    started: queue.SimpleQueue[tuple[str, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.SimpleQueue()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with open_front(
                FakeMachine(),
                tokens=tokens,
                max_sessions=500,
                max_session_duration=20,
                max_extended_duration=60,
            ) as front:
                started.put((front.url, trio.lowlevel.current_trio_token(), scope))
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,), daemon=True)  # if it never starts to serve
    thread.start()
    url, token, scope = started.get(timeout=patience(20))
    try:
        yield url
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join(patience(20))


@pytest.mark.hypothesis
@pytest.mark.parametrize("who", ["admin", "control", "read", "bound", "anybody"] if IS_LONG else ["admin"])
def test_daemon_conforms_to_its_description(tmp_path: Path, who: str) -> None:
    """No answer is a 500 or is not described: status, headers, code, body; what is not described is refused.

    A few requests for each operation here, always the same; thousands, at random, in `make fuzz`, with tokens
    of each scope, with one for a single profile, and without any.
    """
    token = TOKENS.get(who)
    tokens = () if token is None else (token,)
    header = () if token is None else ("--header", f"Authorization: Bearer {token.secret.reveal()}")
    # A session that has ended is shown for 15 minutes, so `use_after_free` is not for us.
    how = ["--max-examples", "60"] if IS_LONG else ["--max-examples", "3", "--seed", "1"]
    phases = "examples,coverage,fuzzing,stateful" if IS_LONG else "examples,fuzzing"
    with serving(*tokens) as url, capture_logs() as logs:
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG),
                *(
                    "run",
                    *header,
                    f"{url}/openapi.json",
                    "--checks",
                    "all",
                    "--exclude-checks",
                    "use_after_free",
                    "--phases",
                    phases,
                ),
                *("--request-timeout", str(patience(90 if IS_LONG else 10)), "--no-shrink", *how),
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
    # It has reached sessions, too, unless the token does not allow to make any.
    reached = {"NOT_ALLOWED"} if who == "read" else {"INVALID_REQUEST", "SESSION_NOT_FOUND", "SESSION_ENDED"}
    assert reached <= answered
