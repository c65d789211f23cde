"""Whether a window could be shown. The display servers are of every kind, but none is real."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from greenroom.web.display import display_problem

NONE = "There is no display to show a browser on"
FREE = 6_100  # far beyond the displays that machines have


@pytest.fixture(autouse=True)
def _no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def listening(path: str) -> Iterator[None]:
    """Listen on a Unix socket for the length of the block."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        try:
            yield
        finally:
            if not path.startswith("\0"):
                os.unlink(path)  # noqa: PTH108


def test_no_display_set_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no display if the variables are unset or empty."""
    assert display_problem() == f"{NONE}: neither DISPLAY nor WAYLAND_DISPLAY is set"
    monkeypatch.setenv("DISPLAY", "")
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    assert display_problem() == f"{NONE}: neither DISPLAY nor WAYLAND_DISPLAY is set"


@pytest.mark.parametrize("display", [f":{FREE}", f"unix:{FREE}.0"])
def test_local_x11_display_counts_if_its_socket_answers(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server listens under its number, in the usual directory or as an abstract socket."""
    monkeypatch.setenv("DISPLAY", display)
    assert display_problem() == f"{NONE}: nothing answers at DISPLAY={display!r}"
    with listening(f"\0/tmp/.X11-unix/X{FREE}"):
        assert display_problem() is None


def test_x11_display_over_tcp_counts_if_its_port_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ssh -X` sets up such a port, above 6000."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        display = f"localhost:{server.getsockname()[1] - 6000}.0"
        monkeypatch.setenv("DISPLAY", display)
        assert display_problem() is None
    assert display_problem() == f"{NONE}: nothing answers at DISPLAY={display!r}"


@pytest.mark.parametrize(
    "display", ["0", "here", ":", ":x", "a:b:0", "localhost:99999", "/no/socket:0", "a\nb:0"]
)
def test_invalid_x11_display_is_reported(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage in the variable is neither a display nor a crash."""
    monkeypatch.setenv("DISPLAY", display)
    assert display_problem() == f"{NONE}: nothing answers at DISPLAY={display!r}"


def test_x11_display_by_path_counts_if_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems name the socket's path."""
    monkeypatch.setenv("DISPLAY", f"{tmp_path}/org.x:0")
    with listening(f"{tmp_path}/org.x:0"):
        assert display_problem() is None


@pytest.mark.parametrize("absolute", [False, True])
def test_wayland_display_counts_if_it_answers(
    absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compositor's socket is in the runtime directory, unless its full path is given."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent" if absolute else str(tmp_path))
    monkeypatch.setenv("WAYLAND_DISPLAY", f"{tmp_path}/w-0" if absolute else "w-0")
    assert display_problem() is not None
    with listening(f"{tmp_path}/w-0"):
        assert display_problem() is None


def test_one_of_two_displays_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Firefox falls back to X11."""
    monkeypatch.setenv("WAYLAND_DISPLAY", "w" * 200)
    monkeypatch.setenv("DISPLAY", f":{FREE}")
    problem = display_problem()
    assert problem == f"{NONE}: nothing answers at WAYLAND_DISPLAY={'w' * 200!r} and DISPLAY=':{FREE}'"
    with listening(f"\0/tmp/.X11-unix/X{FREE}"):
        assert display_problem() is None
