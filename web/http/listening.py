"""The socket that a server listens on: TCP, or a Unix socket's file."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import trio

from greenroom.web.address import BIND_SYNTAX, UNIX, socket_path, split_bind

BACKLOG: Final = 1024
WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised here, not bound)
_CONNECT_S: Final = 2.0
# Connections inherit these. A WebSocket may say nothing for hours; a peer that has gone without a word, as
# when a laptop sleeps or a network is cut, is noticed after two minutes all the same.
_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000),  # ms; for what was sent and not acknowledged
)


class BindFailed(OSError):
    """The server can't listen on the address: it is taken, forbidden, unknown, or not an address at all."""

    def __init__(self, bind: str, why: str, *, code: int | None = None) -> None:
        super().__init__(code, f"Can't listen on {bind!r}: {why}")
        self.bind = bind
        self.why = why

    def __str__(self) -> str:
        return str(self.strerror)  # without the number that OSError puts before it


@contextlib.asynccontextmanager
async def open_listener(
    bind: str, *, mode: int = 0o600, scheme: str = "http"
) -> AsyncIterator[tuple[socket.socket, str]]:
    """Listen on `bind` for the length of the block; yield the socket, and the server's URL for this machine.

    A Unix socket's file gets `mode` and goes with the block; its URL is `bind` itself. Raises BindFailed.
    """
    try:
        path = socket_path(bind)
        address = split_bind(bind) if path is None else ("", 0)
    except ValueError:
        raise BindFailed(bind, f"not {BIND_SYNTAX}") from None
    if path is not None:
        with open_socket_file(path, mode) as listening:
            yield listening, bind
        return
    with await _listen(bind, *address) as listening:
        yield listening, _base_url(scheme, listening.getsockname())


@contextlib.contextmanager
def open_socket_file(path: Path, mode: int) -> Iterator[socket.socket]:
    """Listen on a Unix socket for the length of the block, then remove its file.

    A file that a killed daemon has left is replaced. Raises BindFailed, such as if somebody listens there.
    """
    bind = f"{UNIX}{path}"
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(socket.socket(socket.AF_UNIX))
        try:
            with _alone_at(path):
                _remove_if_dead(path)
                # Linux makes the file with its socket's mode, so that it never lets anybody else in.
                os.fchmod(listening.fileno(), mode)
                listening.bind(str(path))
                ours = opened.enter_context(_held(path, mode))
                listening.listen(BACKLOG)
        except BindFailed:
            raise
        except OSError as exc:
            raise BindFailed(bind, exc.strerror or str(exc), code=exc.errno) from exc
        listening.setblocking(False)
        try:
            yield listening
        finally:
            with contextlib.suppress(OSError), _alone_at(path):
                if _is_at(path, ours):  # not another daemon's, which has taken its place
                    path.unlink()


@contextlib.contextmanager
def _held(path: Path, mode: int) -> Iterator[int]:
    """Give the socket that was bound at `path` its mode; yield a descriptor of its file.

    As long as that is open, no other file can have the same inode. Raises OSError if another file is there.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise FileExistsError(errno.EEXIST, "somebody has put another file there")
        # What the umask has taken away. By the path, this could be another file by now.
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone_at(path: Path) -> Iterator[None]:
    """Keep other daemons of this user from replacing or removing a file at the same time.

    The lock is on a file that nobody else can open. Raises OSError if another daemon has it.
    """
    lock = path.with_name(f"{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(lock, descriptor):  # the one that had it has removed it
            raise BlockingIOError(errno.EAGAIN, "another daemon is about to listen there")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_if_dead(path: Path) -> None:
    """Remove a socket on which nobody listens. Raises BindFailed for anything else."""
    if is_dead_socket(path):
        path.unlink()


def is_dead_socket(path: Path) -> bool:
    """Return whether there is a socket on which nobody listens; False for nothing at all. Changes nothing.

    Raises BindFailed if there is anything else, and OSError if it can't be looked at.
    """
    bind = f"{UNIX}{path}"
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise BindFailed(bind, "there is a file that is no socket", code=errno.EEXIST)
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_CONNECT_S)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            pass  # somebody listens, and is busy
    raise BindFailed(bind, "something listens there already", code=errno.EADDRINUSE)


async def _listen(bind: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        found = await trio.socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            for level, option, value in _OPTIONS:
                listening.setsockopt(level, option, value)
            listening.bind(found[0][4])
            listening.listen(BACKLOG)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
    except OSError as exc:
        raise BindFailed(bind, exc.strerror or str(exc), code=exc.errno) from exc
    except UnicodeError as exc:
        raise BindFailed(bind, "no name that a host can have") from exc
    return listening


def _base_url(scheme: str, address: tuple[str, int]) -> str:
    host = WILDCARDS.get(address[0], address[0])
    return f"{scheme}://[{host}]:{address[1]}" if ":" in host else f"{scheme}://{host}:{address[1]}"
