"""The daemon's settings: the supervisor's, and those of the HTTP side."""

import ipaddress
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import attrs

from greenroom.supervisor.config import InvalidSetting, SupervisorConfig
from greenroom.supervisor.config.converters import to_int, to_path, to_secret
from greenroom.supervisor.config.validators import (
    check_choice,
    check_path,
    is_plain,
    must,
    show,
    whole_number,
)
from greenroom.supervisor.secret import Secret
from greenroom.web.address import UNIX, socket_path, split_bind
from greenroom.web.settings.choices import LogFormat, LogLevel, to_log_format, to_log_level
from greenroom.web.settings.transport import check_bind, check_file, check_mode, check_tls, to_file

ENV_PREFIX: Final = "GREENROOM_"
"""The prefix of the environment variables that set them."""

TOKEN_MIN_LENGTH: Final = 16
TOKEN_SYNTAX: Final = f"at least {TOKEN_MIN_LENGTH} ASCII characters without spaces"


def is_token(value: object) -> bool:
    """Return whether a value is a secret that can be a bearer token."""
    text = value.reveal() if isinstance(value, Secret) else None
    # It is sent in a header, so it has to be ASCII without spaces.
    return is_plain(text) and text.isascii() and len(text) >= TOKEN_MIN_LENGTH


def _is_grace(value: object) -> bool:
    return type(value) is float and math.isfinite(value) and value >= 0


def _to_grace(value: object) -> object:
    if not isinstance(value, int | str) or isinstance(value, bool):
        return value
    try:
        return float(value)
    except (ValueError, OverflowError):
        return value


def _is_origins(value: object) -> bool:
    return isinstance(value, tuple) and all(_is_origin(origin) for origin in value)


def _is_origin(value: object) -> bool:
    if not is_plain(value) or "*" in value or "@" in value:
        return False
    url = urlsplit(value)
    _ = url.port  # raises ValueError if it is invalid
    return bool(url.hostname) and value == f"{url.scheme}://{url.netloc}" and not url.netloc.endswith(":")


def _is_hosts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(host, str) and _is_host(host) for host in value)


def _is_host(value: str) -> bool:
    return bool(ipaddress.ip_address(value)) if ":" in value else bool(re.fullmatch("[0-9a-z._-]+", value))


def _to_origins(value: Iterable[str] | str) -> tuple[str, ...]:
    return cast("tuple[str, ...]", _origins_from(value))


def _origins_from(value: object) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple | set | frozenset):
        return value
    # Browsers send scheme and host in lower case, and the comparison is literal.
    return tuple(origin.lower() if isinstance(origin, str) else origin for origin in value)


@attrs.frozen(kw_only=True, repr=False)
class DaemonSettings(SupervisorConfig):
    """The settings of `greenroom serve`."""

    bind: str = attrs.field(default="127.0.0.1:8700", validator=check_bind)
    """The address to serve on. Port 0 means a free one; `unix:/PATH` is a Unix socket."""

    socket_mode: str = attrs.field(default="0600", validator=check_mode)
    """The mode of that Unix socket: who may connect."""

    tls_certificate: Path | None = attrs.field(default=None, converter=to_file, validator=check_file)
    """The certificate, followed by those between it and its root, as PEM. With it, the daemon speaks TLS."""

    tls_key: Path | None = attrs.field(default=None, converter=to_file, validator=check_file)
    """The certificate's private key, as PEM, without a password."""

    log_level: LogLevel = attrs.field(
        default=LogLevel.INFO, converter=to_log_level, validator=check_choice(LogLevel)
    )
    """Lines of this level and above are logged."""

    log_format: LogFormat = attrs.field(
        default=LogFormat.AUTO, converter=to_log_format, validator=check_choice(LogFormat)
    )
    """How the log's lines look."""

    drain_grace: float = attrs.field(
        default=10.0, converter=_to_grace, validator=must("a number of seconds, 0 or more", _is_grace)
    )
    """How long live sessions may go on after the daemon is told to stop, in seconds."""

    token: Secret | None = attrs.field(
        default=None,
        repr=False,
        converter=to_secret,
        validator=attrs.validators.optional(must(TOKEN_SYNTAX, is_token, secret=True)),
    )
    """The bearer token that clients must send; it allows everything. One is required if others can reach the
    address."""

    tokens_file: Path | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(to_path),
        validator=attrs.validators.optional(check_path),
    )
    """A file of more tokens, each with a name and a scope. SIGHUP makes the daemon read it again."""

    cors_origins: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_origins,
        validator=must("a list of origins, each scheme://host or scheme://host:port, without *", _is_origins),
    )
    """The web origins whose pages may call the daemon."""

    allowed_hosts: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_origins,
        validator=must("a list of host names or addresses, without ports", _is_hosts),
    )
    """The host names that clients may use for the daemon, besides its own address."""

    history_days: int = attrs.field(default=30, converter=to_int, validator=whole_number(0, 3650))
    """For how many days `greenroom serve` remembers how sessions ended; 0 keeps no history."""

    def __attrs_post_init__(self) -> None:
        """Check the rules that involve several settings."""
        super().__attrs_post_init__()
        check_tls(self.bind, self.tls_certificate, self.tls_key)

    def check_exposure(self) -> None:
        """Raise `InvalidSetting` if others could reach a daemon with these settings that has no token.

        Commands that serve nothing may have such settings: the service's own token is often not for them.
        """
        if self.token is None and self.tokens_file is None and not self.is_loopback:
            raise InvalidSetting(
                "bind",
                show(self.bind),
                "a loopback address such as 127.0.0.1:8700, since others can reach this one and no token is "
                f"set. To let them in, set {ENV_PREFIX}TOKEN, {TOKEN_MIN_LENGTH} or more characters, or "
                "tokens_file",
            )

    @property
    def socket_path(self) -> Path | None:
        """The Unix socket that `bind` names; None if it is an address of TCP."""
        return socket_path(self.bind)

    @property
    def address(self) -> tuple[str, int] | None:
        """The host, without brackets, and the port of `bind`; None if it is a Unix socket."""
        return None if self.bind.startswith(UNIX) else split_bind(self.bind)

    @property
    def url(self) -> str:
        """Where this machine's commands find a daemon with these settings, as `open_client` takes it."""
        if self.address is None:
            return self.bind
        return f"{'http' if self.tls_certificate is None else 'https'}://{self.bind}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address. A name other than localhost may mean anything.

        Only those whom its mode lets in can reach a Unix socket.
        """
        if self.address is None:
            return True
        host, _port = self.address
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host.lower() == "localhost"
