"""Pictures of a page, out of the stream that a host sends."""

import attrs

from greenroom.actors.browser.client.stream import Stream
from greenroom.actors.browser.wire.frames import FrameJoiner
from greenroom.actors.browser.wire.framing import FrameError
from greenroom.actors.errors import ActionFailed, BrowserLost
from greenroom.actors.machine.frame import Frame


@attrs.define(eq=False, repr=False)
class FrameReader:
    """Satisfies `ports.Frames`."""

    _stream: Stream
    _joiner: FrameJoiner = attrs.field(factory=FrameJoiner, init=False)

    async def receive(self) -> Frame:
        """See `ports.Frames`."""
        try:
            async for piece in self._stream:
                if (frame := self._joiner.feed(piece)) is not None:
                    return frame
        except FrameError as exc:
            raise BrowserLost("The browser host sends no pictures", detail=str(exc)) from exc
        raise ActionFailed("The browser can't show its page", detail=repr(self._stream.reply))
