"""Who can die: a session's processes, told by the marker that all of them carry and by what they run."""

import contextlib
import enum
from pathlib import Path

import attrs

from actors.owner import MARKER


class Victim(enum.Enum):
    """A process of a session, or its daemon."""

    DAEMON = "daemon"
    HOST_SANDBOX = "host's sandbox"
    HOST_INIT = "init in host's sandbox"
    HOST = "host"
    DRIVER = "driver"
    BROWSER_SANDBOX = "browser's sandbox"
    BROWSER_INIT = "init in browser's sandbox"
    BROWSER = "browser"
    CONTENT = "content process"


SANDBOXES = {Victim.HOST_SANDBOX, Victim.HOST_INIT, Victim.BROWSER_SANDBOX, Victim.BROWSER_INIT}


@attrs.frozen(kw_only=True)
class Process:
    """A running process."""

    pid: int
    parent: int
    name: str
    command: tuple[str, ...]


def carrying(variable: str, value: str, *, prefix: bool = False) -> list[Process]:
    """Return the processes with a variable in their environment, zombies aside.

    With `prefix`, its value only has to begin so.
    """
    wanted = f"\0{variable}={value}".encode() + (b"" if prefix else b"\0")
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # gone meanwhile
                if wanted in b"\0" + (folder / "environ").read_bytes():
                    found.append(_read(folder))
    return found


def marked(marker: str, *, prefix: bool = False) -> list[Process]:
    """Return the processes of a session, or of all sessions whose marker begins so."""
    return carrying(MARKER, marker, prefix=prefix)


def find(victim: Victim, marker: str) -> Process | None:
    """Return a session's process of this kind if it is there now."""
    processes = marked(marker)
    pids = {process.pid for process in processes}
    sandboxes = {process.pid for process in processes if process.name == "bwrap"}
    for process in sorted(processes, key=lambda process: (process.name == "Web Content", process.pid)):
        if process.pid in sandboxes:
            of_host = "actors.browser.host" in process.command
            inner = process.parent in sandboxes and _is_fork_of_parent(process, processes)
            kinds = {
                (True, False): Victim.HOST_SANDBOX,
                (True, True): Victim.HOST_INIT,
                (False, False): Victim.BROWSER_SANDBOX,
                (False, True): Victim.BROWSER_INIT,
            }
            kind: Victim | None = kinds[of_host, inner]
        else:
            kind = _kind(process)
        if kind is victim and (process.parent in pids or victim in {Victim.HOST_SANDBOX, Victim.HOST}):
            return process
    return None


def _is_fork_of_parent(process: Process, processes: list[Process]) -> bool:
    return any(other.pid == process.parent and other.command == process.command for other in processes)


def _kind(process: Process) -> Victim | None:
    command = process.command
    if "actors.browser.host" in command:
        return Victim.HOST
    if any(word.endswith("run-driver") for word in command):
        return Victim.DRIVER
    if any("-contentproc" in word for word in command):  # in one word where it was forked, not executed
        # The others are helpers: for graphics, for the network, and spare ones without a page.
        return Victim.CONTENT if process.name.startswith(("Isolated Web", "Web Content")) else None
    if {"--profile", "-profile"} & set(command) and "firefox" in Path(command[0]).name:
        return Victim.BROWSER
    return None


def _read(folder: Path) -> Process:
    after_name = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    command = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    return Process(
        pid=int(folder.name),
        parent=int(after_name[1]),
        name=(folder / "comm").read_text(errors="replace").strip(),
        command=tuple(word.decode(errors="replace") for word in command),
    )
