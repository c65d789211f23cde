"""Without a sandbox that dies with the daemon, a separate process ends the daemon's cells when it is gone.

A browser host notices its daemon's death, but not while it is stopped; its browsers never notice.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from greenroom.actors.browser.cells.environment import general_environment, python_command
from greenroom.actors.browser.cells.marks import end_marked, scan
from greenroom.actors.owner import HOST_PREFIX

# The holder waits as a shell, which takes 0.1 MB. However the daemon dies, the kernel closes the other end of
# the holder's input, and the shell then execs the Python that ends the processes.
_WAIT = 'trap "" HUP INT TERM; read -r _; exec "$@"'
_GIVE_UP_S = 30.0


@contextlib.contextmanager
def open_lease(marker: str) -> Iterator[None]:
    """End all processes of the marker's owner if this process dies within the block.

    Raises `OSError` if the separate process can't be started.
    """
    owner = marker.partition(".")[0]
    with subprocess.Popen(
        ["/bin/sh", "-c", _WAIT, "sh", *python_command("greenroom.actors.browser.cells.lease", owner)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=general_environment(os.environ),
        cwd="/",
        start_new_session=True,
    ) as holder:
        try:
            yield
        finally:
            holder.kill()  # before its input is closed, which would make it end everything


def end_all(owner: str) -> None:
    """Kill all processes with a marker of `owner`, hosts first, until none is left or 30 s have passed."""
    give_up = time.monotonic() + _GIVE_UP_S
    while markers := {mark for mark in scan() if mark.startswith(f"{owner}.")}:
        hosts = {mark for mark in markers if mark.startswith(f"{owner}.{HOST_PREFIX}")}
        end_marked(hosts)
        end_marked(markers - hosts)
        if time.monotonic() > give_up:
            return


if __name__ == "__main__":
    end_all(sys.argv[1])
