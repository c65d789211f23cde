"""Whether there is a screen to show a browser on."""

import os
import re
import socket
from pathlib import Path
from typing import Final

ANSWER_S: Final = 2.0
HINT: Final = (
    "set DISPLAY to one that runs, such as by `xvfb-run` (Debian's package xvfb), or by `ssh -X`; "
    "or run browsers without windows"
)

_X11_PORTS: Final = 6000  # plus the display's number
_X11_DISPLAY: Final = re.compile(
    r"(?:(?:unix|(?P<host>[^:/]+)|(?P<path>/.*))?):(?P<number>\d{1,5})(?:\.\d+)?"
)


def display_problem() -> str | None:
    """Return why no window can be shown, as a sentence, or None if a display server answers.

    The server is found as Firefox finds it: by WAYLAND_DISPLAY and XDG_RUNTIME_DIR, then by DISPLAY. Whether
    it lets this user in is not checked. Blocks for up to 2 s if the display is on another machine.
    """
    wayland, x11 = os.environ.get("WAYLAND_DISPLAY", ""), os.environ.get("DISPLAY", "")
    if not (wayland or x11):
        return "There is no display to show a browser on: neither DISPLAY nor WAYLAND_DISPLAY is set"
    if (wayland and _answers_wayland(wayland)) or (x11 and _answers_x11(x11)):
        return None
    tried = " and ".join(
        f"{name}={value!r}" for name, value in (("WAYLAND_DISPLAY", wayland), ("DISPLAY", x11)) if value
    )
    return f"There is no display to show a browser on: nothing answers at {tried}"


def _answers_wayland(name: str) -> bool:
    # An absolute name takes the place of the directory's.
    return _answers_unix(str(Path(os.environ.get("XDG_RUNTIME_DIR", ""), name)))


def _answers_x11(display: str) -> bool:
    found = _X11_DISPLAY.fullmatch(display)
    if found is None:
        return False
    number = int(found["number"])
    if found["path"]:  # used by macOS's XQuartz and some containers
        return _answers_unix(f"{found['path']}:{number}")
    if found["host"]:
        return _answers_tcp(found["host"], _X11_PORTS + number)
    path = f"/tmp/.X11-unix/X{number}"  # noqa: S108  # where X11 has its sockets
    return _answers_unix(path) or _answers_unix(f"\0{path}")


def _answers_unix(path: str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_S)
            connection.connect(path)
    except (OSError, ValueError):  # such as a path that is too long
        return False
    return True


def _answers_tcp(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), ANSWER_S).close()
    except (OSError, ValueError, OverflowError):  # such as a port above 65535
        return False
    return True
