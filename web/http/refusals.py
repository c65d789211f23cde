"""The answer to a request that never reaches the app, and the one line about it in the log."""

from email.utils import formatdate

import h11
import msgspec
import structlog

from greenroom.web.http.errors import describe_http_error
from greenroom.web.http.requests import Refused, request_id_of, request_ids_in

_log = structlog.get_logger("greenroom.web")


def refuse(refused: Refused, request: h11.Request | None, head: bytes) -> list[h11.Event]:
    """Log the refusal and return its answer. The connection ends with it.

    `request` is None if its headers are not valid or have not arrived; `head` is what has.
    """
    request_id = request_id_of(request_ids_in(head) if request is None else _given_ids(request))
    status, failure = describe_http_error(refused.status, str(refused))
    log = _log.error if refused.__cause__ else _log.info
    log(
        "request refused",
        request_id=request_id,
        status=status,
        code=failure.error_details.code,
        details=str(refused),
        exc_info=refused.__cause__,
    )
    failure.error_details.request_id = request_id
    body = msgspec.json.encode(failure)
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", str(len(body)).encode()),
        (b"X-Request-Id", request_id.encode()),
        (b"Connection", b"close"),
        # A server with a clock must send it (RFC 9110, 6.6.1).
        (b"Date", formatdate(usegmt=True).encode()),
    ]
    response = h11.Response(status_code=status, headers=headers)
    if request is not None and request.method == b"HEAD":
        return [response, h11.EndOfMessage()]
    return [response, h11.Data(data=body), h11.EndOfMessage()]


def _given_ids(request: h11.Request) -> list[str]:
    return [value.decode("latin-1") for name, value in request.headers if name == b"x-request-id"]
