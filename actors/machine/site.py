"""Where browsers connect to: the site, or the proxy in front of it."""

import attrs
import trio

from greenroom.actors.errors import UpstreamUnreachable


@attrs.frozen(kw_only=True)
class SiteAddress:
    """A TCP address, and its name in messages."""

    name: str
    host: str
    port: int

    async def reach(self) -> None:
        """Open a connection and close it without sending anything. Raises `UpstreamUnreachable`."""
        try:
            stream = await trio.open_tcp_stream(self.host, self.port)
        except OSError as exc:
            error = UpstreamUnreachable(f"{self.name} can't be reached", detail=str(exc))
            raise error from exc
        await trio.aclose_forcefully(stream)
