"""The daemon's end of a connection, for tests of the host's side."""

import asyncio

from greenroom.actors.browser.wire.framing import Frame


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """Return the next frame."""
    lengths = await reader.readexactly(8)
    head, body = int.from_bytes(lengths[:4], "big"), int.from_bytes(lengths[4:], "big")
    return Frame(await reader.readexactly(head), await reader.readexactly(body))
