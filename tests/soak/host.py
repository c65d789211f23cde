"""A browser host without browsers: a process that speaks the protocol, and misbehaves as it is told.

Usage: host.py MARKER, where MARKER is the name of the variable by which a browser's processes are known. What
is to go wrong with a session, and at which moment of its life, is in the file NOTE in its profile. Hosts are
started by the thousand, hence this one imports next to nothing, and `sleep` stands in for the browser, in the
same cell that a browser would have.
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
# As greenroom.actors.verdict.Evidence has it: 4 is the strength of what TikTok's own data says.
EVIDENCE = {"rule": "told to", "place": "test", "strength": 4, "reason": "viewer_object"}
# How long after its last answer a session is live, as far as its host can tell.
LIVE_S = 0.05


def tell(type_: str, **fields: object) -> None:
    """Send a frame."""
    body = json.dumps({"type": type_, **fields}).encode()
    os.write(CONNECTION, len(body).to_bytes(4, "big") + bytes(4) + body)


def read(size: int) -> bytes:
    """Return exactly `size` bytes, or none when the other side has hung up."""
    data = b""
    while len(data) < size:
        chunk = os.read(CONNECTION, size - len(data))
        if not chunk:
            return b""
        data += chunk
    return data


class Session:
    """A session, from its launch until it is let go; `due` is when it is live, and something goes wrong."""

    def __init__(self, launch: dict[str, Any]) -> None:
        self.id = launch["session"]
        with open(os.path.join(launch["profile"], NOTE)) as note:  # noqa: PTH118,PTH123  # pathlib takes long to import
            self.misdeed, self.moment = note.read().split("\n")
        self.browser: int | None = None
        self.due: float | None = None

    def launch(self, message: dict[str, Any], marker: str) -> None:
        """Start what stands in for the browser."""
        cell = [*message["run_as"], "--"] if message["run_as"] else []
        command = [*cell, message["executable"], DURATION_S]
        environ = {**os.environ, marker: message["marker"], "TMPDIR": message["scratch"]}
        no_input = (os.POSIX_SPAWN_OPEN, CONNECTION, os.devnull, os.O_RDONLY, 0)
        # A host ignores signals to the whole service, and hands that down; a browser heeds its driver's.
        self.browser = os.posix_spawn(
            command[0], command, environ, file_actions=[no_input], setsigdef=[signal.SIGTERM]
        )

    def end_browser(self, number: signal.Signals) -> None:
        """Send the browser a signal, and reap it, unless that is done."""
        if self.browser is not None:
            os.kill(self.browser, number)
            os.waitpid(self.browser, 0)
            self.browser = None

    def misbehave(self, answer: dict[str, Any]) -> bool:
        """Do what is to go wrong, and tell whether there is still something to be answered."""
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
    """Answers several sessions."""

    def __init__(self, marker: str) -> None:
        self.marker = marker
        self.sessions: dict[str, Session] = {}

    def serve(self) -> None:
        """Answer until the daemon hangs up."""
        tell("Ready", version=3)
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
        """Carry a request out, or do what is to go wrong with it."""
        type_ = message["type"]
        if type_ == "Cancel":
            return
        answer = {"session": message["session"], "id": message["id"]}
        if type_ == "Launch":
            self.sessions[message["session"]] = Session(message)
        session = self.sessions.get(message["session"])
        if session is None:  # a ping, or a session of which nothing is left to be let go
            tell("Done", **answer)
        elif MOMENTS.get(type_) != session.moment or session.misbehave(answer):
            self.carry_out(session, message, answer)

    def carry_out(self, session: Session, message: dict[str, Any], answer: dict[str, Any]) -> None:
        """Do what is asked for."""
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
    """Serve, and end without Python's own cleaning up."""
    Host(sys.argv[1]).serve()
    os._exit(0)


if __name__ == "__main__":
    main()
