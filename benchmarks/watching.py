"""What watching costs: how soon a click is seen, and what many watchers and readers take."""

import contextlib
import json
import resource
import statistics
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Event, Request, TextMessage

from benchmarks.figures import Bar, Row, Statistic
from benchmarks.processes import pss_bytes
from benchmarks.stage import Daemon, Stage

GROUP = "Watching"
_WATCHERS = 20
_READERS = 1000
_FPS = 12
_SETTLE_S = 3.0
# A page that is one button, which changes its colour when it is pressed.
_BUTTON = """
document.documentElement.innerHTML = '<body style="margin:0;height:100vh;background:#fff">';
document.body.onmousedown = () => {
    document.body.style.background = window.on ? "#fff" : "#000";
    window.on = !window.on;
};
"""
# A page that changes ten times a second.
_CLOCK = """
document.documentElement.innerHTML = '<body><h1 id="clock" style="font-size:20vw">0</h1>';
setInterval(() => { clock.textContent = Number(clock.textContent) + 1; }, 100);
"""


@attrs.define(eq=False)
class _Watcher:
    """Somebody who watches, and counts the pictures."""

    _stream: trio.SocketStream
    _protocol: WSConnection
    pictures: int = 0

    async def say(self, **message: Any) -> None:
        await self._stream.send_all(self._protocol.send(TextMessage(data=json.dumps(message))))

    async def event(self, kind: type[Event]) -> Any:
        while True:
            for event in self._protocol.events():
                if isinstance(event, kind):
                    return event
            self._protocol.receive_data(bytes(await self._stream.receive_some(1 << 18)))

    async def picture(self) -> None:
        """Wait for the next picture, and acknowledge it."""
        while not (await self.event(BytesMessage)).message_finished:
            pass
        self.pictures += 1
        await self.say(type="ack", seq=1 << 40)

    async def stall(self) -> None:
        """Acknowledge pictures without reading any, until the daemon has had enough of that."""
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await self.say(type="ack", seq=1 << 40)
                await trio.sleep(0.05)

    async def watch(self) -> None:
        """Take pictures until cancelled."""
        while True:
            await self.picture()


@contextlib.asynccontextmanager
async def _open_watcher(daemon: Daemon, location: str) -> AsyncIterator[_Watcher]:
    address = urlsplit(str(daemon.http.base_url))
    async with await trio.open_tcp_stream(address.hostname or "", address.port or 0) as stream:
        watcher = _Watcher(stream, WSConnection(ConnectionType.CLIENT))
        request = Request(host=address.netloc, target=f"{location}/watch")
        await stream.send_all(watcher._protocol.send(request))  # noqa: SLF001  # its own maker
        await watcher.event(AcceptConnection)
        await watcher.say(type="view", fps=_FPS, quality=60)
        yield watcher


def measure_watching(stage: Stage, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Measure one session and its watchers; then, unless `quick`, many sessions; then readers of events."""
    rows: list[Row] = []
    for_s = 4.0 if quick else 10.0
    with stage.open_daemon(warm=0) as daemon:
        _took, location = daemon.create()
        daemon.http.patch(location, json={"extend_s": 1200}).raise_for_status()
        say("clicks through the live view")
        _show(daemon, location, _BUTTON)
        clicks = trio.run(_clicks, daemon, location, 10 if quick else 50)
        rows.append(
            Row(
                key="watch-click",
                group=GROUP,
                title="from a click in the live view to the picture of what it did",
                unit="ms",
                bar=Bar(limit=250),
                samples=tuple(clicks),
            )
        )
        _show(daemon, location, _CLOCK)
        rows += _measure_one_session(daemon, location, for_s, 1 if quick else 3, say)
        rows += _measure_readers(daemon, location, 3 if quick else 20, say)
        daemon.end(location)
        if not quick:
            rows.append(_measure_many_sessions(daemon, for_s, say))
    return rows


def _show(daemon: Daemon, location: str, script: str) -> None:
    action = {"kind": "evaluate", "expression": f"(() => {{ {script} }})()"}
    daemon.http.post(f"{location}/actions", json=action).raise_for_status()


async def _clicks(daemon: Daemon, location: str, count: int) -> list[float]:
    control = daemon.http.post(f"{location}/control", json={"holder": "human", "ttl_s": 600})
    lease = control.raise_for_status().json()["lease"]
    took = []
    async with _open_watcher(daemon, location) as watcher:
        await watcher.say(type="lease", lease=lease)
        await watcher.picture()
        for _ in range(count):
            with trio.move_on_after(0.5):  # until the page is still
                await watcher.watch()
            started = time.perf_counter()
            await watcher.say(type="mouse", action="down", x=300, y=300)
            await watcher.say(type="mouse", action="up", x=300, y=300)
            await watcher.picture()
            took.append((time.perf_counter() - started) * 1000)
    daemon.http.post(f"{location}/control", json={"holder": "programs"}).raise_for_status()
    return took


@attrs.frozen(kw_only=True)
class _Watched:
    """Some watchers for some time: the cores that were used meanwhile, and each one's pictures a second."""

    cores: float | None
    rates: list[float]


async def _watch(daemon: Daemon, locations: list[str], for_s: float, *, stalled: int = 0) -> _Watched:
    async with contextlib.AsyncExitStack() as stack, trio.open_nursery() as nursery:
        for _ in range(stalled):
            one = await stack.enter_async_context(_open_watcher(daemon, locations[0]))
            nursery.start_soon(one.stall)
        opening = [_open_watcher(daemon, location) for location in locations]
        watchers = [await stack.enter_async_context(one) for one in opening]
        for watcher in watchers:
            nursery.start_soon(watcher.watch)
        await trio.sleep(_SETTLE_S)
        before = [watcher.pictures for watcher in watchers]
        cpu, started = daemon.program.cpu_s(), time.monotonic()
        await trio.sleep(for_s)
        took, used = time.monotonic() - started, daemon.program.cpu_s()
        rates = [(watcher.pictures - was) / took for watcher, was in zip(watchers, before, strict=True)]
        nursery.cancel_scope.cancel()
    return _Watched(cores=None if cpu is None or used is None else (used - cpu) / took, rates=rates)


def _measure_one_session(
    daemon: Daemon, location: str, for_s: float, turns: int, say: Callable[[str], None]
) -> list[Row]:
    found: dict[int, list[_Watched]] = {}
    stalled: list[_Watched] = []
    growth: list[float] = []
    for turn in range(turns):
        for count in (1, 2, _WATCHERS):
            say(f"{count} watchers of one session, run {turn + 1}")
            found.setdefault(count, []).append(trio.run(_watch, daemon, [location] * count, for_s))
        say(f"a watcher who does not read, run {turn + 1}")
        before = pss_bytes(daemon.program.process.pid)
        stalled.append(trio.run(lambda: _watch(daemon, [location], for_s, stalled=1)))
        growth.append((pss_bytes(daemon.program.process.pid) - before) / (1 << 20))
    rows = []
    if all(run.cores is not None for run in found[1] + found[2]):
        ones, twos = ([run.cores or 0 for run in found[count]] for count in (1, 2))
        rows = [
            Row(
                key="watch-first",
                group=GROUP,
                title="cores used while one watches",
                unit="",
                samples=tuple(ones),
            ),
            Row(
                key="watch-second",
                group=GROUP,
                title="cores that a second watcher adds",
                unit="",
                bar=Bar(limit=0.05),
                samples=tuple(two - one for one, two in zip(ones, twos, strict=True)),
            ),
        ]
    alone = tuple(run.rates[0] for run in found[1])
    return [
        *rows,
        Row(
            key="watch-many",
            group=GROUP,
            title=f"pictures a second for each of {_WATCHERS} watchers of one session",
            unit="/s",
            bar=Bar(limit=0.5, at_least=True),
            samples=tuple(statistics.median(run.rates) for run in found[_WATCHERS]),
            baseline="for one alone",
            baseline_samples=alone,
        ),
        Row(
            key="watch-stalled",
            group=GROUP,
            title="pictures a second beside a watcher who does not read",
            unit="/s",
            bar=Bar(limit=0.8, at_least=True),
            samples=tuple(run.rates[0] for run in stalled),
            baseline="for one alone",
            baseline_samples=alone,
        ),
        Row(
            key="watch-memory",
            group=GROUP,
            title="growth of the daemon meanwhile",
            unit="MB",
            bar=Bar(limit=5),
            samples=tuple(max(0.0, more) for more in growth),
            statistic=Statistic.MAX,
        ),
    ]


def _measure_many_sessions(daemon: Daemon, for_s: float, say: Callable[[str], None]) -> Row:
    say(f"{_WATCHERS} sessions with a watcher each")
    locations = [daemon.create()[1] for _ in range(_WATCHERS)]
    for location in locations:
        _show(daemon, location, _CLOCK)
    watched = trio.run(_watch, daemon, locations, for_s)
    for location in locations:
        daemon.end(location)
    return Row(
        key="watch-sessions",
        group=GROUP,
        title=f"pictures a second of each of {_WATCHERS} sessions, all watched",
        unit="/s",
        samples=tuple(watched.rates),
    )


def _measure_readers(daemon: Daemon, location: str, events: int, say: Callable[[str], None]) -> list[Row]:
    say(f"{_READERS} readers of events")
    took = trio.run(_read_events, daemon, location, events)
    return [
        Row(
            key="event-readers",
            group=GROUP,
            title=f"from an event to the last of {_READERS} readers",
            unit="ms",
            samples=tuple(took),
        )
    ]


async def _read_events(daemon: Daemon, location: str, events: int) -> list[float]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * _READERS)), hard))
    address = urlsplit(str(daemon.http.base_url))
    request = f"GET {location}/events HTTP/1.0\r\nHost: {address.netloc}\r\n\r\n".encode()
    send, arrivals = trio.open_memory_channel[float](_READERS)

    async def read(*, task_status: trio.TaskStatus[None]) -> None:
        async with await trio.open_tcp_stream(address.hostname or "", address.port or 0) as stream:
            await stream.send_all(request)
            received = b""
            while b"event: session.live" not in received:
                received += await stream.receive_some()
            task_status.started()
            while True:
                if b"event: session.extended" in await stream.receive_some():
                    send.send_nowait(time.perf_counter())

    def extend() -> None:
        daemon.http.patch(location, json={"extend_s": 1}).raise_for_status()

    took = []
    async with trio.open_nursery() as nursery:
        for _ in range(_READERS):
            await nursery.start(read)
        for _ in range(events):
            await trio.sleep(1)
            started = time.perf_counter()
            await trio.to_thread.run_sync(extend)
            with trio.fail_after(30):
                last = max([await arrivals.receive() for _ in range(_READERS)])
            took.append((last - started) * 1000)
        nursery.cancel_scope.cancel()
    return took
