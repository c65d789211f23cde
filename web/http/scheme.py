"""Whether a client speaks to the daemon over TLS, be it to the daemon itself or to a proxy in front of it."""

from quart import request

_SECURE = frozenset({"https", "wss"})


def is_secure() -> bool:
    """Return whether the client of this request uses TLS.

    A proxy says so in X-Forwarded-Proto. A client that lies only gets addresses that don't work for it.
    """
    return request.scheme in _SECURE or request.headers.get("X-Forwarded-Proto", "").lower() in _SECURE


def http_scheme() -> str:
    """Return the scheme of the daemon's addresses, as the client of this request sees them."""
    return "https" if is_secure() else "http"


def websocket_scheme() -> str:
    """Return the same for its WebSockets."""
    return "wss" if is_secure() else "ws"
