"""`python -m tests.siege.daemon`: a daemon in front of a fake machine, in a process of its own."""

import trio

from greenroom.actors.resources import give_back_memory
from greenroom.actors.testing import FakeMachine
from greenroom.web.commands.serve import open_daemon
from greenroom.web.logs import configure_logging
from greenroom.web.rlimits import raise_limits
from greenroom.web.settings import DaemonSettings
from greenroom.web.settings.choices import LogLevel
from tests.siege.plan import LAUNCH_S, MAX_SESSIONS

GIVE_BACK_S = 1.0


async def main() -> None:
    """Serve until killed; print the address."""
    settings = DaemonSettings(
        bind="127.0.0.1:0", warm_sessions=0, max_sessions=MAX_SESSIONS, max_launching=MAX_SESSIONS
    )
    async with open_daemon(settings, machine=FakeMachine(launch_s=LAUNCH_S)) as daemon:
        print(daemon.url, flush=True)
        while True:  # as `serve` does, but sooner
            await trio.sleep(GIVE_BACK_S)
            give_back_memory()


if __name__ == "__main__":
    configure_logging(level=LogLevel.ERROR)
    raise_limits()
    trio.run(main)
