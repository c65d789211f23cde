"""The address that a server listens on, as text: `HOST:PORT`, `[IPv6]:PORT` or `unix:/PATH`."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Final

BIND_SYNTAX: Final = "HOST:PORT or [IPv6]:PORT, the port from 0 to 65535, or unix:/PATH"
"""What an address may look like, in words for an error."""

UNIX: Final = "unix:"
# unix(7): the kernel takes 108 bytes, the last of which ends the text.
_PATH_BYTES: Final = 107

# A link-local IPv6 address needs its scope: [fe80::1%eth0]:80.
_BIND: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[0-9A-Za-z._-]+)?)\]|(?P<host>[0-9A-Za-z._-]+)):(?P<port>[0-9]{1,5})"
)


def socket_path(bind: str) -> Path | None:
    """Return the path of `unix:/PATH`; None for TCP. Raises ValueError for a path that can't be one."""
    if not bind.startswith(UNIX):
        return None
    path = Path(bind.removeprefix(UNIX))
    if not path.is_absolute() or not path.name or "\0" in bind or len(os.fsencode(path)) > _PATH_BYTES:
        raise ValueError(bind)
    return path


def split_bind(bind: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPv6]:PORT`. Raises ValueError for anything else."""
    match = _BIND.fullmatch(bind)
    if match is None or (port := int(match["port"])) > 65_535:
        raise ValueError(bind)
    if ipv6 := match["ipv6"]:
        return str(ipaddress.IPv6Address(ipv6)), port
    host = match["host"]
    if re.fullmatch(r"[0-9.]+", host):
        ipaddress.IPv4Address(host)
    return host, port
