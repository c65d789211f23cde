"""TLS with a certificate and a key from files, which may be renewed while the server runs."""

import contextlib
import os
import ssl
import stat
from pathlib import Path
from typing import Final

import attrs
import structlog
import trio

_ALL_BUT_OWNER_AND_READING_GROUP: Final = 0o037
_RENEWED_S: Final = 60.0

_log = structlog.get_logger("greenroom.web")


class TlsUnusable(Exception):
    """The certificate or its key can't be used; the text says which, and why."""


@attrs.define(eq=False)
class TlsFiles:
    """The certificate (PEM, its chain included) and the key that a server shows to its clients."""

    certificate: Path
    key: Path
    _seen: tuple[float, ...] = attrs.field(default=(), init=False)

    def open_context(self) -> ssl.SSLContext:
        """Return what serves TLS with these files. Raises `TlsUnusable`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._load(context)
        return context

    async def keep_renewed(self, context: ssl.SSLContext) -> None:
        """Use renewed files within a minute, for new connections. Files that can't be used change nothing."""
        while True:
            await trio.sleep(_RENEWED_S)
            if self._stamps() == self._seen:
                continue
            try:
                self._load(context)
            except TlsUnusable as exc:
                _log.warning("the renewed certificate can't be used, the old one stays", why=str(exc))
            else:
                _log.info("the renewed certificate is used", certificate=str(self.certificate))

    def _load(self, context: ssl.SSLContext) -> None:
        self._seen = self._stamps()
        _check_file(self.certificate, "certificate", b"-----BEGIN CERTIFICATE-----")
        mode = _check_file(self.key, "key", b"PRIVATE KEY-----")
        if mode & _ALL_BUT_OWNER_AND_READING_GROUP:
            raise TlsUnusable(
                f"tls_key {self.key} has mode {stat.S_IMODE(mode):04o}, so that others can get at it: "
                "chmod 0600 (or 0640)"
            )
        # A pair that can't be used must leave the context as it is.
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for one in (trial, context):
            try:
                one.load_cert_chain(self.certificate, self.key, password=self._ask_nobody)
            except ssl.SSLError as exc:
                raise TlsUnusable(self._explain(exc)) from None
            except OSError as exc:
                raise TlsUnusable(f"tls_certificate or tls_key can't be read: {exc.strerror}") from None

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
                stamps += (found.st_ino, found.st_mtime)
        return tuple(stamps)


def _check_file(path: Path, kind: str, sign: bytes) -> int:
    """Return the mode of a file that has `sign` in it. Raises `TlsUnusable`."""
    try:
        with path.open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read()
    except OSError as exc:
        raise TlsUnusable(f"tls_{kind} {path} can't be read: {exc.strerror}") from None
    if sign not in content:
        raise TlsUnusable(f"tls_{kind} {path} has no {kind} in PEM")
    return mode
