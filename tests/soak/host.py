"""A browser host without a browser: a process that speaks the protocol, and misbehaves as it is told.

Usage: host.py MISDEED MOMENT, where the moment is one in the session's life. It starts once a cycle, hence it
imports next to nothing, and `sleep` stands in for the browser, in the same cell that a browser would have.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

CONNECTION = 0
DURATION_S = "3600"
MOMENTS = {"Launch": "launching", "Navigate": "navigating", "Inspect": "judging", "Close": "ending"}
# As actors.verdict.Evidence has it: 4 is the strength of what TikTok's own data says.
EVIDENCE = {"rule": "told to", "place": "test", "strength": 4, "reason": "viewer_object"}
# How long after its last answer a session is live, as far as its host can tell.
LIVE_S = 0.05


def tell(type_: str, **fields: object) -> None:
    """Send a frame."""
    body = json.dumps({"type": type_, **fields}).encode()
    os.write(CONNECTION, len(body).to_bytes(4, "big") + body)


def read(size: int) -> bytes:
    """Return exactly `size` bytes, or none when the other side has hung up."""
    data = b""
    while len(data) < size:
        chunk = os.read(CONNECTION, size - len(data))
        if not chunk:
            return b""
        data += chunk
    return data


def messages() -> Iterator[dict[str, Any]]:
    """Yield what the daemon says."""
    while header := read(4):
        yield json.loads(read(int.from_bytes(header, "big")))


def misbehave(misdeed: str, message: dict[str, Any]) -> bool:
    """Do it, and tell whether the message is to be answered all the same."""
    match misdeed:
        case "host killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "host says garbage":
            os.write(CONNECTION, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        case "host stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "request unanswered":
            return False
        case "launch refused":
            tell("Failed", session=message["session"], id=message["id"], detail="it does not start")
            return False
        case "page unreachable":
            tell("Unreachable", session=message["session"], id=message["id"], detail="NS_ERROR_NET_RESET")
            return False
        case _:
            pass
    return True


class Host:
    """Answers one session."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.browser: int | None = None

    def answer(self, message: dict[str, Any]) -> None:
        """Carry a request out."""
        told = {"session": message["session"], "id": message["id"]}
        match message["type"]:
            case "Launch":
                command = [message["run_as"] or message["executable"], DURATION_S]
                self.browser = os.posix_spawn(command[0], command, os.environ)
            case "Inspect":
                finding = {"method": message["method"], "evidence": [EVIDENCE | {"points_to": self.state}]}
                tell("Found", **told, finding=finding)
                return
            case "Close":
                if self.browser is not None:
                    os.kill(self.browser, signal.SIGTERM)
                    os.waitpid(self.browser, 0)
            case _:
                pass
        tell("Done", **told)


def serve(misdeed: str, moment: str) -> None:
    """Answer until the daemon hangs up."""
    host = Host("LOGGED_OUT" if misdeed == "not logged in" else "LOGGED_IN")
    tell("Ready", version=1)
    for message in messages():
        if message["type"] == "Cancel":
            continue
        if MOMENTS.get(message["type"]) == moment and not misbehave(misdeed, message):
            continue
        host.answer(message)
        if message["type"] == "Inspect" and moment == "live":
            time.sleep(LIVE_S)
            misbehave(misdeed, message)


def main() -> NoReturn:
    """Serve, and end without Python's own cleaning up."""
    serve(*sys.argv[1:])
    os._exit(0)


if __name__ == "__main__":
    main()
