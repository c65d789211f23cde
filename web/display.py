"""Whether there is a screen to show a browser on."""

import os
import re
import socket
from pathlib import Path

_X11_SOCKETS = Path("/tmp/.X11-unix")  # noqa: S108  # where X servers have theirs
_X11_PORT = 6000
_ANSWER_S = 3.0
_DISPLAY = re.compile(r"(?:unix/?|(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+\]))?:(?P<number>\d{1,5})(?:\.\d+)?")


def display_problem() -> str | None:
    """Return why no window can be shown, as a sentence, or None where a display answers.

    Asked are the displays that `WAYLAND_DISPLAY` and `DISPLAY` name; one will do. Blocks, for seconds where
    one is on another machine that does not answer.
    """
    wayland, x11 = os.environ.get("WAYLAND_DISPLAY"), os.environ.get("DISPLAY")
    if not (wayland or x11):
        return "There is no display to show a browser on"
    problems = []
    if wayland:
        if _accepts(Path(os.environ.get("XDG_RUNTIME_DIR", "/"), wayland)):
            return None
        problems.append(f"WAYLAND_DISPLAY={wayland}")
    if x11:
        if _answers(x11):
            return None
        problems.append(f"DISPLAY={x11}")
    return f"The display does not answer: {' and '.join(problems)}"


def _answers(display: str) -> bool:
    match = _DISPLAY.fullmatch(display)
    if match is None:
        return False
    if match["host"]:
        try:
            port = _X11_PORT + int(match["number"])
            socket.create_connection((match["host"].strip("[]"), port), _ANSWER_S).close()
        except (OSError, OverflowError, UnicodeError):
            return False
        return True
    path = _X11_SOCKETS / f"X{match['number']}"
    return _accepts(f"\0{path}") or _accepts(path)  # Linux's abstract sockets have no file


def _accepts(address: Path | str) -> bool:
    """Tell whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ANSWER_S)
        try:
            asking.connect(os.fspath(address))
        except (OSError, ValueError):
            return False
    return True
