"""For which hosts the daemon answers.

A web page may let its own name lead to 127.0.0.1 (DNS rebinding); its requests then pass for same-origin ones,
but still say its name in their Host header.
"""

import ipaddress
import re

from web.settings import DaemonSettings

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:\[\]@/]+))(?::[0-9]*)?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class HostGuard:
    """Says which Host headers are for this daemon; the port does not matter, since ports get forwarded.

    On a loopback address these are the address, localhost and `allowed_hosts`. An address that others can
    reach has a token, which no page knows: there every host is let in, or if there are `allowed_hosts`, these
    and the address; on a wildcard address, any address.
    """

    def __init__(self, settings: DaemonSettings) -> None:
        bound, _port = settings.address
        own = _LOOPBACK | {bound} if settings.is_loopback else {bound}
        self._hosts = frozenset(_plain(host) for host in {*own, *settings.allowed_hosts})
        self._is_open = not settings.is_loopback and not settings.allowed_hosts
        self._takes_addresses = _is_address(bound) and ipaddress.ip_address(bound).is_unspecified

    def allows(self, header: str) -> bool:
        """Return whether `header` names this daemon."""
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        host = _plain(match["ipv6"] or match["name"])
        if self._is_open or host in self._hosts:
            return True
        return self._takes_addresses and _is_address(host)


def _plain(host: str) -> str:
    """Return `host` as it is compared: in lower case, without the root's dot, addresses in one form."""
    host = host.lower().removesuffix(".")
    return str(ipaddress.ip_address(host)) if _is_address(host) else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
