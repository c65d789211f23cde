"""How commands reach a daemon: over TCP, with TLS, or at a Unix socket."""

import ssl
from pathlib import Path
from typing import Any, Final

import httpx

from greenroom.web.address import UNIX
from greenroom.web.client.errors import DaemonUnreachable

_LOCALHOST: Final = "http://localhost"  # what a Unix socket's Host is
_END: Final = "-----END CERTIFICATE-----"


def open_client(url: str, *, certificate: Path | None = None, **options: Any) -> httpx.Client:
    """Return a client of the daemon at `url`, which may be `unix:/PATH`.

    If the daemon has the settings at hand, `certificate` is its own: that one is expected, under any name.
    Otherwise its certificate must be one that the system trusts. A proxy from the environment never sees what
    is sent. Raises `httpx.InvalidURL`, and `DaemonUnreachable` if `certificate` can't be read or is none.
    """
    transport = None
    if path := find_socket(url):
        transport = httpx.HTTPTransport(uds=path)
    return httpx.Client(transport=transport, **_common(url, certificate), **options)


def open_async_client(url: str, *, certificate: Path | None = None, **options: Any) -> httpx.AsyncClient:
    """Return the same for use with Trio."""
    transport = None
    if path := find_socket(url):
        transport = httpx.AsyncHTTPTransport(uds=path)
    return httpx.AsyncClient(transport=transport, **_common(url, certificate), **options)


def find_socket(url: str) -> str | None:
    """Return the path of a daemon's Unix socket; None if it is at an address of TCP."""
    return url.removeprefix(UNIX) if url.startswith(UNIX) else None


def _common(url: str, certificate: Path | None) -> dict[str, Any]:
    base = _LOCALHOST if url.startswith(UNIX) else url.rstrip("/")
    if not base.startswith("https:"):
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not the system's: that takes long
    elif certificate is not None:
        verify = _only(certificate)
    else:
        verify = ssl.create_default_context()  # what the system trusts; httpx would take certifi's list
    return {"base_url": base, "verify": verify, "trust_env": False}


def _only(certificate: Path) -> ssl.SSLContext:
    """Return what trusts the first certificate of a file, and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # this machine's commands use an address that no certificate has
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not be a root
    try:
        first, end, _chain = certificate.read_text(encoding="ascii", errors="replace").partition(_END)
        context.load_verify_locations(cadata=first + end)
    except (OSError, ValueError) as exc:
        why = "it has no certificate in PEM" if isinstance(exc, ssl.SSLError | ValueError) else exc.strerror
        text = f"The daemon's certificate {certificate} can't be read: {why}"
        raise DaemonUnreachable(text, hint="correct tls_certificate") from exc
    return context
