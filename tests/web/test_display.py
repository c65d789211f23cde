"""Which displays count as one, asked with sockets in the place of display servers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from web import display
from web.display import display_problem

NONE = "There is no display to show a browser on"


@pytest.fixture(autouse=True)
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where X servers and Wayland compositors of this test have their sockets; none is named yet."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(display, "_X11_SOCKETS", tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@contextmanager
def listening(address: str) -> Iterator[None]:
    """Accept connections on a Unix socket for the length of the block."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        yield


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_named_is_no_display(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """An empty variable names none either."""
    if value is not None:
        monkeypatch.setenv("DISPLAY", value)
        monkeypatch.setenv("WAYLAND_DISPLAY", value)
    assert display_problem() == NONE


@pytest.mark.parametrize("shown", [":7", ":7.0", "unix:7", "unix/:7"])
@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_x_server_that_listens_is_a_display(
    sockets: Path, monkeypatch: pytest.MonkeyPatch, shown: str, kind: str
) -> None:
    """However its name is written, and wherever its socket is: containers have the abstract one alone."""
    monkeypatch.setenv("DISPLAY", shown)
    with listening(f"{sockets}/X7" if kind == "file" else f"\0{sockets}/X7"):
        assert display_problem() is None


def test_display_through_ssh_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `ssh -X` the display is a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(display, "_X11_PORT", server.getsockname()[1] - 10)
        monkeypatch.setenv("DISPLAY", "127.0.0.1:10.0")
        assert display_problem() is None
    assert display_problem() == "The display does not answer: DISPLAY=127.0.0.1:10.0"


@pytest.mark.parametrize("name", [":7", "127.0.0.1:59000", "nonsense", ":", ":x", ":123456", "a b:0", "é:0"])
def test_display_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What nobody serves, and what is no display's name at all."""
    monkeypatch.setenv("DISPLAY", name)
    assert display_problem() == f"The display does not answer: DISPLAY={name}"


def test_stale_socket_is_no_display(sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was killed leaves its socket."""
    monkeypatch.setenv("DISPLAY", ":7")
    with listening(f"{sockets}/X7"):
        pass
    assert (sockets / "X7").exists()
    assert display_problem() is not None


def test_either_of_wayland_and_x11_will_do(sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers try one after the other."""
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("DISPLAY", ":7")
    assert display_problem() == "The display does not answer: WAYLAND_DISPLAY=wayland-0 and DISPLAY=:7"
    with listening(f"{sockets}/wayland-0"):
        assert display_problem() is None
    with listening(f"{sockets}/X7"):
        assert display_problem() is None
    monkeypatch.setenv("WAYLAND_DISPLAY", f"{sockets}/own")
    with listening(f"{sockets}/own"):
        assert display_problem() is None
