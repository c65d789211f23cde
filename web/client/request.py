"""Requests as plain data, and how their answers are read: what all clients share, without any I/O."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import attrs
import msgspec

from greenroom.web.client.errors import error_in, no_daemon

T = TypeVar("T")

MAX_JSON_BYTES: Final = 16 * 1024 * 1024
"""More than the daemon ever says in JSON."""
MAX_CONTENT_BYTES: Final = 1024 * 1024 * 1024
"""As much as a session keeps of what it has been asked for."""


@attrs.frozen(kw_only=True, repr=False)
class Reply:
    """A whole answer, from what is at `url`."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes


@attrs.frozen(kw_only=True, repr=False)
class Request(Generic[T]):
    """Something to ask of the daemon, and how its answer becomes a `T`.

    `is_repeatable` says that it does no harm if the daemon gets it twice. `max_bytes` limits the answer.
    """

    method: str
    path: str
    read: Callable[[Reply], T]
    headers: Mapping[str, str] = attrs.field(factory=dict)
    params: Mapping[str, Any] = attrs.field(factory=dict)
    content: bytes | None = None
    files: Mapping[str, tuple[str, bytes]] | None = None
    is_repeatable: bool = False
    max_bytes: int = MAX_JSON_BYTES

    def finish(self, reply: Reply) -> T:
        """Return what the answer says. Raises `ApiError` or `DaemonUnreachable`."""
        if not 200 <= reply.status < 300:
            raise error_in(reply.status, reply.headers, reply.content, url=reply.url)
        return self.read(reply)


def json_of(body: object) -> bytes:
    """Return a body in JSON."""
    return msgspec.json.encode(body)


def as_type(type_: type[T]) -> Callable[[Reply], T]:
    """Return how JSON of this type is read."""

    def read(reply: Reply) -> T:
        try:
            return msgspec.json.decode(reply.content, type=type_)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise no_daemon(reply.url, reply.status) from exc

    return read


def as_bytes(reply: Reply) -> bytes:
    """Return the content as it is."""
    return reply.content


def as_text(reply: Reply) -> str:
    """Return the content as text."""
    return reply.content.decode("utf-8", "replace")


def as_nothing(_reply: Reply) -> None:
    """Ignore the content."""
