"""The daemon's memory: one heap from before the first thread, and free memory is returned regularly."""

import contextlib

import pytest
import trio
from click.testing import CliRunner
from trio.testing import MockClock

from greenroom.actors import resources
from greenroom.supervisor import api
from greenroom.web import cli, logs
from greenroom.web.commands import serve as daemon
from greenroom.web.settings import DaemonSettings


def test_serve_keeps_one_arena_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """This is set before anything could start threads. Garbage collection is set up once all is imported."""
    done: list[str] = []

    async def serve(*_: object) -> None:
        done.append("serve")

    monkeypatch.setattr(resources, "keep_one_arena", lambda: done.append("keep_one_arena"))
    monkeypatch.setattr(resources, "collect_rarely", lambda: done.append("collect_rarely"))
    monkeypatch.setattr(logs, "configure_logging", lambda **_: done.append("logging"))
    monkeypatch.setattr(daemon, "serve", serve)
    assert CliRunner().invoke(cli.main, ["serve"]).exit_code == 0
    logging = ["logging"] * 2  # the settings say how, and problems with them are to be logged already
    assert done == ["keep_one_arena", *logging, "collect_rarely", "serve"]


async def test_daemon_gives_memory_back_every_minute(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so for as long as it runs."""
    given_back: list[float] = []

    class ShortMachine(contextlib.AbstractAsyncContextManager[None]):
        async def __aenter__(self) -> None:
            await trio.sleep(150)
            raise KeyError("a test")

        async def __aexit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(daemon, "give_back_memory", lambda: given_back.append(trio.current_time()))
    monkeypatch.setattr(api, "open_machine", lambda *_: ShortMachine())
    with pytest.raises(KeyError, match="a test"):
        await daemon.serve(DaemonSettings(history_days=0), pytest.fail)
    assert given_back == [60, 120]
