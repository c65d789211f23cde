"""The daemon: a supervisor and its HTTP front, until a signal says stop."""

import contextlib
import functools
import os
import signal
from collections.abc import AsyncIterator, Callable

import attrs
import structlog
import trio

from greenroom.actors.browser.cells.sandbox import Sandbox
from greenroom.actors.browser.engines import EngineName
from greenroom.actors.errors import EngineUnavailable
from greenroom.actors.events import SessionEvent
from greenroom.actors.machine.about import MachineInfo
from greenroom.actors.machine.ports import Machine
from greenroom.actors.resources import give_back_memory
from greenroom.supervisor.api import Supervisor, open_supervisor
from greenroom.supervisor.history import History
from greenroom.web.daemon_history import hiding_history, open_history_of
from greenroom.web.display import HINT, display_problem
from greenroom.web.groups import sole_error_bare
from greenroom.web.http.access import may_use
from greenroom.web.http.app import create_app
from greenroom.web.http.serving import open_server
from greenroom.web.http.tls import TlsFiles
from greenroom.web.http.token_file import read_tokens
from greenroom.web.http.tokens import Tokens
from greenroom.web.logs import log_session_event, tell_repeats
from greenroom.web.metrics.metrics import open_metrics
from greenroom.web.repeats import PERIOD_S
from greenroom.web.rlimits import check_limits, raise_limits
from greenroom.web.settings import DaemonSettings, SettingsError
from greenroom.web.signals import open_stop_signals
from greenroom.web.systemd import notify, notify_alive, notify_stopping

# How often free memory is returned to the system, which takes about a millisecond.
_GIVE_BACK_S = 60.0

_log = structlog.get_logger("greenroom.daemon")


@attrs.frozen(kw_only=True)
class RunningDaemon:
    """A running daemon: its address as a URL without a slash at the end, its supervisor, and its tokens."""

    url: str
    supervisor: Supervisor
    tokens: Tokens


@contextlib.asynccontextmanager
async def open_daemon(
    settings: DaemonSettings, *, machine: Machine | None = None, history: History | None = None
) -> AsyncIterator[RunningDaemon]:
    """Serve sessions over HTTP for the length of the block; `history` keeps how they ended.

    On leaving the block, all sessions end, and current requests get their answers. Raises `BindFailed` if the
    address is taken, `TlsUnusable`, and what `read_tokens` and `open_supervisor` raise.
    """
    tokens = Tokens(read_tokens(settings))  # a small file, before anything runs

    def subscriber(event: SessionEvent) -> None:
        log_session_event(event)
        if history is not None:
            history.hear(event)

    with sole_error_bare(layers=3):  # the nurseries of the supervisor, the browser hosts and the metrics
        async with (
            open_supervisor(settings, machine=machine, subscriber=subscriber) as supervisor,
            open_metrics(supervisor) as metrics,
            open_server(
                create_app(supervisor, settings, tokens, metrics, history),
                settings.bind,
                admits=functools.partial(may_use, tokens),
                socket_mode=int(settings.socket_mode, 8),
                tls=_tls(settings),
            ) as url,
        ):
            yield RunningDaemon(url=url, supervisor=supervisor, tokens=tokens)
            await supervisor.stop()  # while requests can still be answered


async def serve(settings: DaemonSettings, say: Callable[[str], None]) -> None:
    """Run the daemon until a signal asks it to stop, then drain it and return. `say` gets the lines to print.

    Draining gives live sessions `drain_grace` seconds. A second signal ends them at once, still cleanly; a
    third ends this process. SIGHUP makes it read `tokens_file` again. Raises `ResourcesExhausted` if the
    process's limits are too low for the settings, `EngineUnavailable` if windows are wanted but can't be
    shown, and what `open_daemon` raises.
    """
    check_limits(settings, raise_limits())
    if not settings.headless and (problem := await trio.to_thread.run_sync(display_problem)):
        raise EngineUnavailable(problem, detail=HINT)
    stopping, draining = trio.Event(), trio.CancelScope()
    reload, reloads = trio.open_memory_channel[None](1)

    def ask_to_reload() -> None:
        with contextlib.suppress(trio.WouldBlock):  # one that is about to be done will do
            reload.send_nowait(None)

    with open_stop_signals(ask_to_reload) as signals, reload, reloads, sole_error_bare(layers=1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed_signals, signals, stopping, draining)
            nursery.start_soon(_give_back_memory)
            nursery.start_soon(_tell_repeats)
            async with (
                open_history_of(settings) as history,
                open_daemon(hiding_history(settings), history=history) as daemon,
            ):
                nursery.start_soon(_reload_tokens, settings, daemon.tokens, reloads)
                machine = daemon.supervisor.machine
                say(f"engine          {machine.engine} {machine.engine_version}")
                say(f"sandbox         {machine.sandbox}")
                say(f"master profile  {settings.user_data_master_dir.absolute()}")
                say(f"site            {settings.tiktok_url}")
                say(f"address         {daemon.url}")
                _warn(machine)
                nursery.start_soon(notify_alive, daemon.supervisor)
                notify("READY=1")
                await stopping.wait()
                notify_stopping(settings.drain_grace)
                with draining:
                    await daemon.supervisor.drain(settings.drain_grace)
            nursery.cancel_scope.cancel(reason="the daemon has stopped")
    tell_repeats(at_once=True)
    _log.info("stopped")


async def _reload_tokens(
    settings: DaemonSettings, tokens: Tokens, asked: trio.MemoryReceiveChannel[None]
) -> None:
    """Read the tokens again whenever that is asked for. A file that can't be used changes nothing."""
    async for _ in asked:
        try:
            changed = tokens.replace(await trio.to_thread.run_sync(read_tokens, settings))
        except SettingsError as exc:
            _log.error("the tokens stay as they were", problems=exc.problems)  # the text says all
        except Exception as exc:  # such as a thread that can't be started; the text may quote the file
            _log.error("the tokens can't be read, and stay as they were", why=type(exc).__name__)
        else:
            _log.info("the tokens were read again", changed=changed)


def _tls(settings: DaemonSettings) -> TlsFiles | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return TlsFiles(settings.tls_certificate, settings.tls_key)


async def _give_back_memory() -> None:
    """Return freed memory to the system again and again, since a daemon runs for months."""
    while True:
        await trio.sleep(_GIVE_BACK_S)
        give_back_memory()


async def _tell_repeats() -> None:
    while True:
        await trio.sleep(PERIOD_S)
        tell_repeats()


async def _heed_signals(
    signals: AsyncIterator[signal.Signals], stopping: trio.Event, draining: trio.CancelScope
) -> None:
    """Set `stopping` at the first signal, cancel `draining` at the second; more must not break the stop."""
    async for number in signals:
        if not stopping.is_set():
            _log.info("stopping; live sessions get drain_grace seconds", signal=number.name)
            stopping.set()
        else:
            _log.info("stopping at once", signal=number.name)
            draining.cancel(reason=f"a second signal: {number.name}")


def _warn(machine: MachineInfo) -> None:
    if os.geteuid() == 0:
        _log.warning(
            "running as root: a page that breaks out of its browser would own this machine; "
            "run the daemon as a dedicated user, for example with systemd's User= or Docker's --user"
        )
    if machine.engine == EngineName.FIREFOX.value:
        _log.warning(
            "stock Firefox stands in for Camoufox: stealth is off, the site can tell that it is automated"
        )
    if machine.sandbox == Sandbox.NONE.value:
        _log.warning("browsers run without a sandbox: run `greenroom doctor` to see why")
