"""A browser host without browsers: a process that speaks the protocol, and misbehaves as it is told.

Usage: host.py MARKER VERSION, where MARKER is the name of the environment variable that marks a browser's
processes, and VERSION that of the protocol.
The file NOTE in a session's profile says what goes wrong with the session, and at which moment of its life.
Hosts are started by the thousand, so this one imports next to nothing. `sleep` stands in for the browser and
runs in the cell that a browser would have.
"""

import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

CONNECTION = 0
DURATION_S = "3600"
NOTE = "what-goes-wrong"
MOMENTS = {"Launch": "launching", "Navigate": "navigating", "Inspect": "judging", "Close": "ending"}
# The fields of greenroom.actors.verdict.Evidence; 4 is the strength of TikTok's own data.
EVIDENCE = {"rule": "told to", "place": "test", "strength": 4, "reason": "viewer_object"}
# A host isn't told when a session is live, so it takes the session for live so long after the last answer.
LIVE_S = 0.05


def tell(type_: str, **fields: object) -> None:
    """Send a frame."""
    body = json.dumps({"type": type_, **fields}).encode()
    os.write(CONNECTION, len(body).to_bytes(4, "big") + bytes(4) + body)


def read(size: int) -> bytes:
    """Return exactly `size` bytes, or b"" if the other side has hung up."""
    data = b""
    while len(data) < size:
        chunk = os.read(CONNECTION, size - len(data))
        if not chunk:
            return b""
        data += chunk
    return data


class Session:
    """A session, from its launch until it is discarded. `due` is when it is live and its fault strikes."""

    def __init__(self, launch: dict[str, Any]) -> None:
        self.id = launch["session"]
        with open(os.path.join(launch["profile"], NOTE)) as note:  # noqa: PTH118,PTH123  # pathlib takes long to import
            self.misdeed, self.moment = note.read().split("\n")
        self.browser: int | None = None
        self.due: float | None = None

    def launch(self, message: dict[str, Any], marker: str) -> None:
        """Start the process that stands in for the browser."""
        cell = [*message["run_as"], "--"] if message["run_as"] else []
        command = [*cell, message["executable"], DURATION_S]
        environ = {**os.environ, marker: message["marker"], "TMPDIR": message["scratch"]}
        no_input = (os.POSIX_SPAWN_OPEN, CONNECTION, os.devnull, os.O_RDONLY, 0)
        # A host ignores SIGTERM, which its children inherit. A browser must react to it.
        self.browser = os.posix_spawn(
            command[0], command, environ, file_actions=[no_input], setsigdef=[signal.SIGTERM]
        )

    def end_browser(self, number: signal.Signals) -> None:
        """Send the browser a signal and reap it, unless that has been done."""
        if self.browser is not None:
            os.kill(self.browser, number)
            os.waitpid(self.browser, 0)
            self.browser = None

    def misbehave(self, answer: dict[str, Any]) -> bool:
        """Carry out the fault. Return whether the request still has to be answered."""
        match self.misdeed:
            case "host killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "host says garbage":
                os.write(CONNECTION, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            case "host stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "browser killed":
                self.end_browser(signal.SIGKILL)
                tell("Lost", session=self.id, detail="the browser is gone")
                return False
            case "request unanswered":
                return False
            case "launch refused":
                tell("Failed", **answer, detail="it does not start")
                return False
            case "page unreachable":
                tell("Unreachable", **answer, detail="NS_ERROR_NET_RESET")
                return False
            case _:
                pass
        return True


class Host:
    """Serves several sessions."""

    def __init__(self, marker: str, version: int) -> None:
        self.marker, self.version = marker, version
        self.sessions: dict[str, Session] = {}

    def serve(self) -> None:
        """Answer requests until the daemon hangs up."""
        tell("Ready", version=self.version)
        while True:
            due = [session.due for session in self.sessions.values() if session.due is not None]
            wait_s = max(0, min(due) - time.monotonic()) if due else None
            if select.select([CONNECTION], [], [], wait_s)[0]:
                lengths = read(8)
                if not lengths:
                    return
                self.take(json.loads(read(int.from_bytes(lengths[:4], "big"))))
            for session in self.sessions.values():
                if session.due is not None and session.due <= time.monotonic():
                    session.due = None
                    session.misbehave({})

    def take(self, message: dict[str, Any]) -> None:
        """Answer a request, or misbehave if the session's fault strikes now."""
        type_ = message["type"]
        if type_ == "Cancel":
            return
        answer = {"session": message["session"], "id": message["id"]}
        if type_ == "Launch":
            self.sessions[message["session"]] = Session(message)
        session = self.sessions.get(message["session"])
        if session is None:  # a ping, or the discarding of a session that is gone
            tell("Done", **answer)
        elif MOMENTS.get(type_) != session.moment or session.misbehave(answer):
            self.carry_out(session, message, answer)

    def carry_out(self, session: Session, message: dict[str, Any], answer: dict[str, Any]) -> None:
        """Do what the request asks for and answer it."""
        match message["type"]:
            case "Launch":
                session.launch(message, self.marker)
            case "Inspect":
                state = "LOGGED_OUT" if session.misdeed == "not logged in" else "LOGGED_IN"
                finding = {"method": message["method"], "evidence": [EVIDENCE | {"points_to": state}]}
                tell("Found", **answer, finding=finding)
                if session.moment == "live":
                    session.due = time.monotonic() + LIVE_S
                return
            case "Close":
                session.end_browser(signal.SIGTERM)
            case "Discard":
                session.end_browser(signal.SIGKILL)
                del self.sessions[session.id]
            case _:
                pass
        tell("Done", **answer)


def main() -> NoReturn:
    """Serve, then exit at once, without Python's own cleanup."""
    Host(sys.argv[1], int(sys.argv[2])).serve()
    os._exit(0)


if __name__ == "__main__":
    main()
