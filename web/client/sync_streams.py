"""How the blocking client reads what arrives bit by bit."""

from collections.abc import Iterator

import httpx
import httpx_sse

from greenroom.web.client.feeds import EventSize


def sse(answer: httpx.Response) -> Iterator[httpx_sse.ServerSentEvent]:
    """Return the events that arrive."""
    kind = {"Content-Type": answer.headers.get("Content-Type", "")}
    return httpx_sse.EventSource(httpx.Response(200, headers=kind, stream=_Limited(answer))).iter_sse()


class _Limited(httpx.SyncByteStream):
    """What comes of a stream of events, as it is on the wire, as long as no event is too large."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        event = EventSize()
        for data in self._answer.iter_raw():
            event.add(data)
            yield data
