"""A program that ends sessions one after another, and keeps a history of them at the path that it is given.

It prints the id of each that has ended. The machine is a fake one.
"""

import sys
from pathlib import Path

import trio

from greenroom import SupervisorConfig, open_supervisor
from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.history import open_history


async def main(path: Path) -> None:
    """Go on until somebody kills this."""
    config = SupervisorConfig(warm_sessions=0)
    async with (
        open_history(path, days=1) as history,
        open_supervisor(config, machine=FakeMachine(), subscriber=history.hear) as supervisor,
    ):
        while True:
            session = await supervisor.create_session()
            await supervisor.end_session(session.id)
            print(session.id, flush=True)
            await trio.sleep(0.02)


trio.run(main, Path(sys.argv[1]))
