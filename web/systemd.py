"""What a service tells systemd: that it is ready, alive, or stopping. See sd_notify(3)."""

import math
import os
import socket
from contextlib import suppress
from typing import Final

import structlog
import trio

from greenroom.actors.errors import SupervisorStopped
from greenroom.supervisor.api import Supervisor

STATUS_S: Final = 10.0
"""How often systemd is told the number of sessions, in seconds, unless its watchdog wants more."""
STOP_MARGIN_S: Final = 60.0
"""How long stopping may take on top of `drain_grace`: browsers and clones need a few seconds."""

_SOCKET: Final = "NOTIFY_SOCKET"
_log = structlog.get_logger("greenroom.daemon")


def notify(*assignments: str) -> None:
    """Tell systemd something, such as `READY=1`. Does nothing without systemd, and never waits for it."""
    if not (path := os.environ.get(_SOCKET, "")):
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        sending.connect(address)
        sending.send("\n".join(assignments).encode())


def notify_stopping(grace_s: float) -> None:
    """Tell systemd that the service stops, and how long that may take, whatever TimeoutStopSec= is."""
    notify("STOPPING=1", "STATUS=Stopping", f"EXTEND_TIMEOUT_USEC={int((grace_s + STOP_MARGIN_S) * 1e6)}")


async def notify_alive(supervisor: Supervisor) -> None:
    """Tell systemd again and again how many sessions there are, which also feeds its watchdog.

    It is told nothing while the supervisor does not answer, or while Trio's loop hangs. If that goes on for
    longer than WatchdogSec=, systemd kills the service. Returns at once without systemd, and once the
    supervisor has stopped.
    """
    if not os.environ.get(_SOCKET):
        return
    watchdog_s = _watchdog_s()
    period_s = min(STATUS_S, watchdog_s / 2)
    while True:
        with trio.move_on_after(watchdog_s / 2) as patience:
            try:
                count = await supervisor.count_sessions()
            except SupervisorStopped:
                return
            notify("WATCHDOG=1", f"STATUS={count.sessions} sessions, {count.warm} warm")
        if patience.cancelled_caught:
            _log.error("the supervisor does not answer: systemd will restart the service")
        await trio.sleep(period_s)


def _watchdog_s() -> float:
    """Return within how many seconds systemd wants to hear from this process; infinite if it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return math.inf
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return math.inf
