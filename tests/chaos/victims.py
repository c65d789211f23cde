"""The processes that can be struck. They are found by their markers and told apart by their commands."""

import contextlib
import enum
from pathlib import Path

import attrs

from greenroom.actors.owner import MARKER


class Victim(enum.Enum):
    """A kind of process: the daemon, or part of a session's browser or host."""

    DAEMON = "daemon"
    HOST_SANDBOX = "host's sandbox"
    HOST_INIT = "init in host's sandbox"
    HOST = "host"
    DRIVER = "driver"
    BROWSER_SANDBOX = "browser's sandbox"
    BROWSER_INIT = "init in browser's sandbox"
    BROWSER = "browser"
    CONTENT = "content process"


HOST_PARTS = {Victim.HOST_SANDBOX, Victim.HOST_INIT, Victim.HOST, Victim.DRIVER}
SANDBOXES = {Victim.HOST_SANDBOX, Victim.HOST_INIT, Victim.BROWSER_SANDBOX, Victim.BROWSER_INIT}
_HOST_ID = "host-"


@attrs.frozen(kw_only=True)
class Process:
    """A running process. `mark` is the value of the environment variable that it was found by."""

    pid: int
    parent: int
    name: str
    command: tuple[str, ...]
    mark: str


def carrying(variable: str, value: str, *, prefix: bool = False) -> list[Process]:
    """Return the processes with a variable in their environment, except zombies.

    With `prefix`, the variable's value only has to begin with `value`.
    """
    wanted = f"\0{variable}={value}".encode() + (b"" if prefix else b"\0")
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                environ = b"\0" + (folder / "environ").read_bytes()
                at = environ.find(wanted)
                if at >= 0:
                    setting = environ[at + 1 :].partition(b"\0")[0].decode(errors="replace")
                    found.append(_read(folder, setting.partition("=")[2]))
    return found


def marked(marker: str, *, prefix: bool = False) -> list[Process]:
    """Return the processes that carry a marker; with `prefix`, any marker that begins with it."""
    return carrying(MARKER, marker, prefix=prefix)


def is_host(name: str) -> bool:
    """Return whether an id, or the id in a marker, is a host's rather than a session's."""
    return name.rpartition(".")[2].startswith(_HOST_ID)


def host_of(marker: str) -> str | None:
    """Return the marker of a session's host, found by walking up the browser's parent processes."""
    processes = {process.pid: process for process in _with_same_owner(marker)}
    for process in processes.values():
        above: Process | None = process if process.mark == marker else None
        while above is not None and not is_host(above.mark):
            above = processes.get(above.parent)
        if above is not None:
            return above.mark
    return None


def find(victim: Victim, marker: str) -> Process | None:
    """Return a process of this kind that belongs to the host or session with this marker, if it runs now."""
    processes = _with_same_owner(marker)
    pids = {process.pid for process in processes}
    sandboxes = {process.pid for process in processes if process.name == "bwrap"}
    for process in sorted(processes, key=lambda process: (process.name == "Web Content", process.pid)):
        if process.mark != marker:
            continue
        if process.pid in sandboxes:
            inner = process.parent in sandboxes and _is_fork_of_parent(process, processes)
            kinds = {
                (True, False): Victim.HOST_SANDBOX,
                (True, True): Victim.HOST_INIT,
                (False, False): Victim.BROWSER_SANDBOX,
                (False, True): Victim.BROWSER_INIT,
            }
            kind: Victim | None = kinds[is_host(marker), inner]
        else:
            kind = _kind(process)
        if kind is victim and (process.parent in pids or victim in {Victim.HOST_SANDBOX, Victim.HOST}):
            return process
    return None


def _with_same_owner(marker: str) -> list[Process]:
    return marked(f"{marker.partition('.')[0]}.", prefix=True)


def _is_fork_of_parent(process: Process, processes: list[Process]) -> bool:
    return any(other.pid == process.parent and other.command == process.command for other in processes)


def _kind(process: Process) -> Victim | None:
    command = process.command
    if "greenroom.actors.browser.host" in command:
        return Victim.HOST
    if any(word.endswith("run-driver") for word in command):
        return Victim.DRIVER
    if any("-contentproc" in word for word in command):  # a forked process has its command line in one word
        # The rest are helpers for graphics and the network, and spare processes without a page.
        return Victim.CONTENT if process.name.startswith(("Isolated Web", "Web Content")) else None
    if {"--profile", "-profile"} & set(command) and "firefox" in Path(command[0]).name:
        return Victim.BROWSER
    return None


def _read(folder: Path, mark: str) -> Process:
    after_name = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    command = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    return Process(
        pid=int(folder.name),
        parent=int(after_name[1]),
        name=(folder / "comm").read_text(errors="replace").strip(),
        command=tuple(word.decode(errors="replace") for word in command),
        mark=mark,
    )
