"""Finding processes by their commands, while any of them may end."""

import contextlib
from collections.abc import Iterable

import attrs
import psutil


@attrs.frozen
class Program:
    """A process as it was found: its name and the words of its command."""

    process: psutil.Process
    name: str
    words: tuple[str, ...]

    def has(self, text: str) -> bool:
        """Whether any word of the command contains `text`."""
        return any(text in word for word in self.words)

    def kill(self) -> None:
        """Kill it, unless it has ended, such as with another that was killed before it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.kill()


def programs(processes: Iterable[psutil.Process]) -> list[Program]:
    """Return those that have not ended; sandboxes don't count."""
    found = []
    for process in processes:
        try:
            program = Program(process, process.name(), tuple(process.cmdline()))
        except (psutil.Error, OSError):
            continue
        if program.name != "bwrap":
            found.append(program)
    return found
