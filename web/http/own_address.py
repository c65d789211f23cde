"""Whether a URL leads to the daemon itself: the pages of its sessions have no business there."""

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from greenroom.web.http.exchanges import asked
from greenroom.web.settings import DaemonSettings

_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def is_own(url: str, settings: DaemonSettings) -> bool:
    """Return whether `url` is at the daemon's address, as far as can be seen without asking for names.

    Call it while a request is being answered. Raises `ValueError` if it is no URL.
    """
    there = urlsplit(url)
    if settings.address is None:  # no page can reach a Unix socket
        return False
    bound, bound_port = settings.address
    ports = {bound_port, (asked().scope["server"] or ("", None))[1]}
    port = _PORTS.get(there.scheme) if there.port is None else there.port
    return port in ports and _is_own_host(there.hostname or "", bound)


def _is_own_host(host: str, bound: str) -> bool:
    """Return whether `host` is this machine's loopback, in any form, or the bound address."""
    name = host.lower().removesuffix(".")
    if name == bound or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(socket.inet_aton(name) if ":" not in name else name)
    except (OSError, ValueError):
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified
