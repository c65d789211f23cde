"""A client that is attached to a session, in the middle of a call that never ends."""

import json
import socket

import attrs
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from tests.chaos.world import Trouble

_BEGIN_S = 5.0
_RECEIVE_BYTES = 1 << 16


@attrs.define(eq=False)
class Attached:
    """A WebSocket to a session's driver, through the relay."""

    _socket: socket.socket
    _protocol: WSConnection

    @classmethod
    def attach(cls, port: int, session_id: str) -> "Attached":
        """Attach, and begin to wait for an element that never comes. Raises `Trouble`."""
        client = socket.create_connection(("127.0.0.1", port), _BEGIN_S)
        attached = cls(client, WSConnection(ConnectionType.CLIENT))
        try:
            attached._begin(f"/tiktok/session/{session_id}/playwright")
        except (OSError, Trouble) as exc:
            client.close()
            raise Trouble(f"a client was not attached: {exc!r}") from exc
        return attached

    def _begin(self, path: str) -> None:
        self._send(Request(host="127.0.0.1", target=path))
        self._wait(AcceptConnection)
        self._call(1, "", "initialize", {"sdkLanguage": "python"})
        frame = ""
        while not (message := json.loads(self._message())).get("id"):
            created = message["params"]
            if message["method"] == "__create__" and created["type"] == "Frame":
                frame = created["guid"]
        self._call(2, frame, "waitForSelector", {"selector": "#never"})

    def is_over(self, within_s: float) -> bool:
        """Return whether the daemon closes the connection in time."""
        self._socket.settimeout(within_s)
        try:
            self._wait(CloseConnection)
        except TimeoutError:
            return False
        except (OSError, Trouble):
            pass
        return True

    def hang_up(self) -> None:
        """Leave without a word. Idempotent."""
        self._socket.close()

    def _call(self, id_: int, guid: str, method: str, params: dict[str, str]) -> None:
        call = {"id": id_, "guid": guid, "method": method, "params": params, "metadata": {}}
        self._send(TextMessage(data=json.dumps(call)))

    def _send(self, event: Event) -> None:
        self._socket.sendall(self._protocol.send(event))

    def _message(self) -> str:
        text = ""
        while True:
            event = self._wait(TextMessage)
            assert isinstance(event, TextMessage)
            text += event.data
            if event.message_finished:
                return text

    def _wait(self, kind: type[Event]) -> Event:
        while True:
            for event in self._protocol.events():
                if isinstance(event, kind):
                    return event
            data = self._socket.recv(_RECEIVE_BYTES)
            if not data:
                raise Trouble("the connection is over")
            self._protocol.receive_data(data)
