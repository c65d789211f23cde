"""The rules for what lies beneath HTTP: the address, a Unix socket's mode, the files for TLS."""

from pathlib import Path
from typing import Final

from greenroom.supervisor.config import InvalidSetting
from greenroom.supervisor.config.converters import to_path
from greenroom.supervisor.config.validators import must, show
from greenroom.web.address import BIND_SYNTAX, socket_path, split_bind

_MODES: Final = ("0600", "0660")


def _is_bind(value: object) -> bool:
    return isinstance(value, str) and bool(socket_path(value) or split_bind(value))


def _is_file(value: object) -> bool:
    return value is None or (isinstance(value, Path) and "\0" not in str(value))


def to_file(value: Path | str | None) -> Path | None:
    """Convert a text to the path of a file."""
    return None if value is None else to_path(value)


check_bind = must(BIND_SYNTAX, _is_bind)
check_mode = must(
    f"{_MODES[0]} (its user alone) or {_MODES[1]} (its group too)", lambda value: value in _MODES
)
check_file = must("the path of a file", _is_file)


def check_tls(bind: str, certificate: Path | None, key: Path | None) -> None:
    """Raise `InvalidSetting` for one file without the other, or with a Unix socket."""
    if (certificate is None) is not (key is None):
        if certificate is None:
            raise InvalidSetting("tls_certificate", "not set", "the path of the certificate of tls_key")
        raise InvalidSetting("tls_key", "not set", "the path of the key of tls_certificate")
    if certificate is not None and socket_path(bind):
        allowed = "unset on a Unix socket: what is sent there does not leave the machine"
        raise InvalidSetting("tls_certificate", show(certificate), allowed)
