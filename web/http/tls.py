"""TLS with a certificate and a key from files, which may be renewed while the server runs."""

import contextlib
import os
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs
import structlog
import trio

_ALL_BUT_OWNER_AND_READING_GROUP: Final = 0o037
_RENEWED_S: Final = 60.0
_MOST_BYTES: Final = 1 << 20

_log = structlog.get_logger("greenroom.web")


class TlsUnusable(Exception):
    """The certificate or its key can't be used; the text says which and why, and `fix` what to do."""

    def __init__(self, text: str, *, fix: str = "correct tls_certificate and tls_key") -> None:
        super().__init__(text)
        self.fix = fix


@attrs.define(eq=False)
class TlsFiles:
    """The certificate (PEM, its chain included) and the key that a server shows to its clients."""

    certificate: Path
    key: Path
    _seen: tuple[float, ...] = attrs.field(default=(), init=False)

    def open_context(self) -> ssl.SSLContext:
        """Return what serves TLS with the files as they are. Raises `TlsUnusable`. For a thread.

        Each file is read once. What is checked is what is used, even if a renewal replaces it meanwhile.
        """
        self._seen = self._stamps()
        certificate, _mode = _read(self.certificate, "certificate", b"-----BEGIN CERTIFICATE-----")
        key, mode = _read(self.key, "key", b"PRIVATE KEY-----")
        if mode & _ALL_BUT_OWNER_AND_READING_GROUP:
            raise TlsUnusable(
                f"tls_key {self.key} has mode {stat.S_IMODE(mode):04o}, so that others can get at it: "
                "chmod 0600 (or 0640)",
                fix=f"chmod 0600 {self.key}",
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            with _in_memory(certificate) as certificate_path, _in_memory(key) as key_path:
                context.load_cert_chain(certificate_path, key_path, password=self._ask_nobody)
        except ssl.SSLError as exc:
            raise TlsUnusable(self._explain(exc)) from None
        except OSError as exc:
            raise TlsUnusable(f"tls_certificate or tls_key can't be loaded: {exc.strerror}") from None
        return context

    async def keep_renewed(self, use: Callable[[ssl.SSLContext], None]) -> None:
        """Give `use` a new context within a minute of a renewal. Files that can't be used change nothing."""
        while True:
            await trio.sleep(_RENEWED_S)
            try:
                context = await trio.to_thread.run_sync(self._open_renewed, abandon_on_cancel=True)
            except TlsUnusable as exc:
                _log.warning("the renewed certificate can't be used, the old one stays", why=str(exc))
                continue
            if context is not None:
                use(context)
                _log.info("the renewed certificate is used", certificate=str(self.certificate))

    def _open_renewed(self) -> ssl.SSLContext | None:
        return None if self._stamps() == self._seen else self.open_context()

    def _ask_nobody(self) -> str:
        raise TlsUnusable(f"tls_key {self.key} has a password, which nobody could type in: store it without")

    def _explain(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"tls_key {self.key} is not the key of tls_certificate {self.certificate}"
        why = error.reason or error
        return f"tls_certificate {self.certificate} and tls_key {self.key} can't be used: {why}"

    def _stamps(self) -> tuple[float, ...]:
        stamps: list[float] = []
        for path in (self.certificate, self.key):
            with contextlib.suppress(OSError):
                found = path.stat()
                stamps += (found.st_ino, found.st_mtime, found.st_size)
        return tuple(stamps)


def _read(path: Path, kind: str, sign: bytes) -> tuple[bytes, int]:
    """Return the content and the mode of a file that has `sign` in it. Raises `TlsUnusable`."""
    try:
        # What is no file may wait for ever, such as a pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise TlsUnusable(f"tls_{kind} {path} is not a regular file")
            content = file.read(_MOST_BYTES + 1)
    except OSError as exc:
        raise TlsUnusable(f"tls_{kind} {path} can't be read: {exc.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise TlsUnusable(f"tls_{kind} {path} is larger than {_MOST_BYTES >> 20} MiB")
    if sign not in content:
        raise TlsUnusable(f"tls_{kind} {path} has no {kind} in PEM")
    return content, mode


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Yield the path of a file that only this process has, and that is on no disk: OpenSSL wants a path."""
    descriptor = os.memfd_create("greenroom-tls")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"
