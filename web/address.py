"""The address that a server listens on, as text: `HOST:PORT` or `[IPv6]:PORT`."""

import ipaddress
import re
from typing import Final

BIND_SYNTAX: Final = "HOST:PORT or [IPv6]:PORT, the port from 0 to 65535"
"""What `split_bind` takes, in words for an error."""

# A link-local IPv6 address needs its scope: [fe80::1%eth0]:80.
_BIND: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[0-9A-Za-z._-]+)?)\]|(?P<host>[0-9A-Za-z._-]+)):(?P<port>[0-9]{1,5})"
)


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
