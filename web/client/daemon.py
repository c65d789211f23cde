"""A daemon as its clients see it: its address, its token, and how long it is waited for. No I/O."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs
import httpx

from greenroom.supervisor.secret import Secret
from greenroom.web.client.errors import DaemonUnreachable
from greenroom.web.client.reasons import causes_of, reason_of
from greenroom.web.client.request import Request
from greenroom.web.client.retrying import Retrying
from greenroom.web.terminal import one_line

DEFAULT_URL: Final = "http://127.0.0.1:8700"
TIMEOUT_S: Final = 400.0
"""For a whole answer. That is longer than any action may take; the daemon has limits of its own."""
RETRY_FOR_S: Final = 30.0
END_S: Final = 30.0
"""For the end of a session whose block has failed: whoever waits wants to see why."""
_FOUND: Final = (ssl.SSLError, socket.gaierror, PermissionError)  # or it isn't known where to look
_UNTRUSTED: Final = "if it is your daemon's own certificate, set tls_certificate, and bind instead of --url"


@attrs.frozen(kw_only=True)
class Daemon:
    """The daemon at `url`: `timeout_s` is for a whole answer, `retry_for_s` for asking again."""

    url: str
    token: Secret | None
    timeout_s: float
    retry_for_s: float

    @classmethod
    def at(cls, url: str, token: str | None, timeout_s: float, retry_for_s: float) -> "Daemon":
        """Return the daemon at `url`."""
        hidden = Secret(token) if token else None
        return cls(url=url.rstrip("/"), token=hidden, timeout_s=timeout_s, retry_for_s=retry_for_s)

    def http_headers(self) -> dict[str, str]:
        """Return what all requests have."""
        headers = {"Accept-Encoding": "identity"}  # so that the size of an answer is what arrives
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.reveal()}"
        return headers

    def http_request(self, request: Request[Any]) -> dict[str, Any]:
        """Return a request as httpx's clients take it."""
        return {
            "method": request.method,
            "url": request.path,
            "headers": dict(request.headers),
            "params": dict(request.params) or None,
            "content": request.content,
            "files": request.files,
        }

    def retrying(self, clock: Callable[[], float]) -> Retrying:
        """Return when something is asked again."""
        return Retrying(budget_s=self.retry_for_s, clock=clock)

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn errors of httpx and of its sockets in the block into `DaemonUnreachable`."""
        try:
            yield
        except httpx.TimeoutException as exc:
            raise self.too_slow() from exc
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, OverflowError) as exc:
            raise self._unreachable(exc) from exc

    def _unreachable(self, exc: Exception) -> DaemonUnreachable:
        reason = one_line(reason_of(exc))
        causes = tuple(causes_of(exc))
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return DaemonUnreachable(f"What answers at {self.url} is not trusted: {reason}", hint=_UNTRUSTED)
        is_other = any(isinstance(cause, _FOUND) for cause in causes)
        return DaemonUnreachable(
            f"No daemon answers at {self.url}: {reason}",
            was_asked=isinstance(exc, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError),
            is_absent=isinstance(exc, httpx.ConnectError) and not is_other,
        )

    def too_slow(self) -> DaemonUnreachable:
        """Return the error for an answer that takes too long."""
        return DaemonUnreachable(f"No daemon answers at {self.url} within {self.timeout_s:g} s")

    def stream_ended(self) -> DaemonUnreachable:
        """Return the error for a stream that ends before it is over."""
        return DaemonUnreachable(f"The daemon at {self.url} has ended the stream", was_asked=True)

    def too_long(self) -> DaemonUnreachable:
        """Return the error for an answer that has more bytes than it may."""
        return DaemonUnreachable(f"What answers at {self.url} is no Greenroom daemon: it says too much")
