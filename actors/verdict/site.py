"""Of which site an address is."""

import ipaddress
from urllib.parse import urlsplit


def is_same_site(one: str, other: str) -> bool:
    """Return whether two URLs have the same host, or hosts of one domain, as www.tiktok.com and m.tiktok.com.

    A domain is taken to be the last two labels of a host's name, which is right for TikTok's.
    """
    domain = _domain(one)
    return bool(domain) and domain == _domain(other)


def is_tiktok_address(url: str) -> bool:
    """Return whether a URL is of TikTok's own site."""
    return _domain(url) == "tiktok.com"


def is_address(url: str) -> bool:
    """Return whether a URL names a host on the web."""
    return url.lower().startswith(("http://", "https://")) and bool(_domain(url))


def _domain(url: str) -> str:
    try:
        host = urlsplit(url.replace("\\", "/")).hostname or ""  # as browsers read it
    except ValueError:
        return ""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ".".join(host.split(".")[-2:])
