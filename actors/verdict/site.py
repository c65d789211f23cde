"""Which site an address belongs to."""

import ipaddress
from urllib.parse import urlsplit


def is_same_site(one: str, other: str) -> bool:
    """Return whether two URLs have the same host, or hosts of one domain, as www. and m.tiktok.com have.

    The domain is the last two labels of the host name, which is right for TikTok.
    """
    domain = _domain(one)
    return bool(domain) and domain == _domain(other)


def is_tiktok_address(url: str) -> bool:
    """Return whether a URL belongs to TikTok's own site."""
    return _domain(url) == "tiktok.com"


def is_address(url: str) -> bool:
    """Return whether a URL names a host on the web."""
    return url.lower().startswith(("http://", "https://")) and bool(_domain(url))


def _domain(url: str) -> str:
    try:
        host = urlsplit(url.replace("\\", "/")).hostname or ""  # browsers read a backslash as a slash
    except ValueError:
        return ""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ".".join(host.split(".")[-2:])
