"""Who is connected to a session when the signal comes: a Playwright client, or somebody who watches."""

import json
import socket
import threading
from abc import ABC, abstractmethod
from typing import Self

import attrs
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Request, TextMessage

from tests.chaos.world import Trouble

_BEGIN_S = 5.0
_RECEIVE_BYTES = 1 << 16


@attrs.define(eq=False)
class Visitor(ABC):
    """A WebSocket to a session."""

    _socket: socket.socket
    _protocol: WSConnection

    @classmethod
    def visit(cls, port: int, session_id: str) -> Self:
        """Connect, and begin. Raises `Trouble`."""
        client = socket.create_connection(("127.0.0.1", port), _BEGIN_S)
        visitor = cls(client, WSConnection(ConnectionType.CLIENT))
        try:
            visitor._begin(f"/tiktok/session/{session_id}")
        except (OSError, Trouble) as exc:
            client.close()
            raise Trouble(f"a visitor was not let in: {exc!r}") from exc
        return visitor

    @abstractmethod
    def _begin(self, path: str) -> None: ...

    @abstractmethod
    def is_over(self, within_s: float) -> bool:
        """Return whether the daemon closes the connection in time."""

    def hang_up(self) -> None:
        """Leave without a word. Idempotent."""
        self._socket.close()

    def _shake_hands(self, path: str) -> None:
        self._send(Request(host="127.0.0.1", target=path))
        self._wait(AcceptConnection)

    def _send(self, event: Event) -> None:
        self._socket.sendall(self._protocol.send(event))

    def _wait(self, *kinds: type[Event]) -> Event:
        while True:
            for event in self._protocol.events():
                if isinstance(event, kinds):
                    return event
            data = self._socket.recv(_RECEIVE_BYTES)
            if not data:
                raise Trouble("the connection is over")
            self._protocol.receive_data(data)


@attrs.define(eq=False)
class Attached(Visitor):
    """A client that is attached through the relay, in the middle of a call that never ends."""

    def _begin(self, path: str) -> None:
        self._shake_hands(f"{path}/playwright")
        self._call(1, "", "initialize", {"sdkLanguage": "python"})
        frame = ""
        while not (message := json.loads(self._message())).get("id"):
            created = message["params"]
            if message["method"] == "__create__" and created["type"] == "Frame":
                frame = created["guid"]
        self._call(2, frame, "waitForSelector", {"selector": "#never"})

    def is_over(self, within_s: float) -> bool:
        """See `Visitor`."""
        self._socket.settimeout(within_s)
        try:
            self._wait(CloseConnection)
        except TimeoutError:
            return False
        except (OSError, Trouble):
            pass
        return True

    def _call(self, id_: int, guid: str, method: str, params: dict[str, str]) -> None:
        call = {"id": id_, "guid": guid, "method": method, "params": params, "metadata": {}}
        self._send(TextMessage(data=json.dumps(call)))

    def _message(self) -> str:
        text = ""
        while True:
            event = self._wait(TextMessage)
            assert isinstance(event, TextMessage)
            text += event.data
            if event.message_finished:
                return text


@attrs.define(eq=False)
class Watching(Visitor):
    """Somebody who watches, and takes each picture as it comes."""

    _is_over: threading.Event = attrs.field(factory=threading.Event, init=False)

    def _begin(self, path: str) -> None:
        self._shake_hands(f"{path}/watch")
        self._say(type="view", fps=30, quality=60)
        self._wait(BytesMessage)
        threading.Thread(target=self._take_pictures, daemon=True).start()

    def is_over(self, within_s: float) -> bool:
        """See `Visitor`."""
        return self._is_over.wait(within_s)

    def _take_pictures(self) -> None:
        try:
            self._say(type="ack", seq=1 << 30)
            while isinstance(self._wait(BytesMessage, CloseConnection), BytesMessage):
                self._say(type="ack", seq=1 << 30)
        except (OSError, Trouble):
            pass
        self._is_over.set()

    def _say(self, **message: object) -> None:
        self._send(TextMessage(data=json.dumps(message)))
