"""Why something on the network could not be reached, in plain words."""

import socket
import ssl
from collections.abc import Iterator


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what has caused it, and that in turn, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def reason_of(error: BaseException) -> str:
    """Say why something could not be reached. It is never empty: on Trio, httpx's own text is for TLS."""
    for cause in causes_of(error):
        if isinstance(cause, socket.gaierror):
            return "its name does not resolve"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is invalid: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS fails: {(cause.reason or str(cause)).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return next(filter(None, map(str, causes_of(error))), type(error).__name__)
