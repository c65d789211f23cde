"""The running daemon's sessions, from the command line: what `greenroom session` does."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import attrs
import httpx
import msgspec

from greenroom.actors.lifecycle import DEFAULT_PROFILE, ProfileInfo
from greenroom.web.commands.leaks import DaemonUnreachable
from greenroom.web.commands.reaching import find_socket, open_client
from greenroom.web.http.history_schemas import HistoryAnswer
from greenroom.web.http.profile_schemas import ImportAnswer, ProfilesAnswer, StartedAnswer
from greenroom.web.http.schemas import (
    Actions,
    AllSessions,
    LinkAnswer,
    OneSession,
    PlaywrightAnswer,
    Session,
    TikTokSessionErrorResponse,
)

T = TypeVar("T")

SESSIONS: Final = "/tiktok/session"
# Longer than any action may take; the daemon has limits of its own.
HTTP_TIMEOUT_S: Final = 400.0


class Refused(Exception):
    """The daemon says no; the text is for the user."""


@attrs.frozen
class Sessions:
    """The sessions of the daemon at `url`. Methods block; they raise `Refused` or `DaemonUnreachable`.

    `url` and `certificate` are as for `open_client`.
    """

    _url: str
    _token: str | None
    _certificate: Path | None = None

    def new(self, *, profile: str = DEFAULT_PROFILE, write: bool = False) -> str:
        """Create a session of a profile; return its id. With `write`, it makes the next generation."""
        headers = {"X-Profile": profile, **({"X-Profile-Mode": "write"} if write else {})}
        location: str = self._ask("POST", SESSIONS, json={}, headers=headers).headers.get("Location", "")
        if not location.startswith(f"{SESSIONS}/"):
            raise DaemonUnreachable(self._no_daemon)
        return location.removeprefix(f"{SESSIONS}/")

    def log_in(self, profile: str, timeout_s: float, window: bool) -> str:
        """Start a session in which a person logs in to a profile; return its id."""
        body = {"timeout_s": timeout_s, "window": window}
        path = f"/profiles/{quote(profile, safe='')}/login"
        return self._read("POST", path, StartedAnswer, json=body).session.id

    def link(self, session_id: str, ttl_s: float) -> str:
        """Make a link by which somebody can take control of a session; return its address."""
        body = {"mode": "control", "ttl_s": ttl_s, "name": "greenroom login"}
        return self._read("POST", f"{_path(session_id)}/links", LinkAnswer, json=body).address

    def profiles(self) -> tuple[ProfileInfo, ...]:
        """Return the profiles."""
        return self._read("GET", "/profiles", ProfilesAnswer).profiles

    def import_login(self, profile: str, content: bytes, takes_all: bool) -> int:
        """Give a profile the login in a file; return the number of its new generation."""
        path = f"/profiles/{quote(profile, safe='')}/import{'?all=true' if takes_all else ''}"
        return self._read("POST", path, ImportAnswer, content=content).generation

    def storage(self, session_id: str) -> bytes:
        """Return a session's storage state, in JSON."""
        return self._ask("GET", f"{_path(session_id)}/storage").content

    def list(self) -> list[Session]:
        """Return the sessions that have not ended."""
        return self._read("GET", SESSIONS, AllSessions).sessions

    def history(self, query: Mapping[str, str]) -> HistoryAnswer:
        """Return how sessions ended, by a query of `GET /tiktok/history`."""
        return self._read("GET", "/tiktok/history", HistoryAnswer, params=dict(query))

    def show(self, session_id: str) -> Session:
        """Return one session."""
        return self._read("GET", _path(session_id), OneSession).session

    def playwright_address(self, session_id: str) -> str:
        """Return the address for a Playwright of the user's own."""
        return self._read("GET", f"{_path(session_id)}/playwright", PlaywrightAnswer).address

    @property
    def socket(self) -> str | None:
        """The path of the Unix socket at which the daemon is; None if it is at an address of TCP."""
        return find_socket(self._url)

    @property
    def has_token(self) -> bool:
        """Whether the daemon wants a token."""
        return self._token is not None

    def end(self, session_id: str) -> None:
        """End a session; return once nothing of it is left."""
        self._ask("DELETE", _path(session_id))

    def act(self, session_id: str, actions: Iterable[dict[str, Any]]) -> Actions:
        """Carry out actions; return the answer."""
        body = {"actions": list(actions)}
        return self._read("POST", f"{_path(session_id)}/actions", Actions, json=body)

    def snapshot(self, session_id: str) -> str:
        """Return the page's accessibility tree, fit for a terminal."""
        tree = self._ask("GET", f"{_path(session_id)}/snapshot").text
        return "".join(character for character in tree if character.isprintable() or character == "\n")

    def screenshot(self, session_id: str, path: Path) -> None:
        """Write a picture of the page to `path`, of the type that its name ends with."""
        type_ = {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(path.suffix.lower(), "png")
        picture = self._ask("GET", f"{_path(session_id)}/screenshot?type={type_}").content
        try:
            path.write_bytes(picture)
        except OSError as exc:
            raise Refused(f"Can't write {path}: {exc.strerror}") from exc

    @property
    def _no_daemon(self) -> str:
        return f"What answers at {self._url} is no Greenroom daemon"

    def _read(self, method: str, path: str, type_: type[T], **request: Any) -> T:
        answer = self._ask(method, path, **request)
        try:
            return msgspec.json.decode(answer.content, type=type_)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise DaemonUnreachable(self._no_daemon) from exc

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            with open_client(
                self._url, certificate=self._certificate, headers=headers, timeout=HTTP_TIMEOUT_S
            ) as client:
                answer = client.request(method, path, **request)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as exc:
            raise DaemonUnreachable(f"No daemon answers at {self._url}: {exc}") from exc
        if not answer.is_success:
            raise Refused(_explain(answer))
        return answer


def read_action(words: Iterable[str]) -> dict[str, Any]:
    """Return the action in `words`: a kind and `field=value` for each field, or one word of JSON.

    A value that is JSON is taken as JSON, and as text otherwise. Raises `ValueError`.
    """
    kind, *fields = words
    if kind.startswith("{"):
        action: dict[str, Any] = json.loads(kind)
        return action
    action = {"kind": kind}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise ValueError(f"{field!r} is not of the form field=value")
        try:
            action[name] = json.loads(value)
        except ValueError:
            action[name] = value
    return action


def _path(session_id: str) -> str:
    if not session_id.replace("-", "").isalnum():
        raise Refused(f"{session_id!r} is no session's id")
    return f"{SESSIONS}/{session_id}"


def _explain(answer: httpx.Response) -> str:
    try:
        failure = msgspec.json.decode(answer.content, type=TikTokSessionErrorResponse)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return f"What answers is no Greenroom daemon (HTTP {answer.status_code})"
    details = failure.error_details
    holder = f"by {details.holder.program}" if details.holder else None
    said = (failure.message, details.hint or details.explanation or holder or details.details)
    text = ": ".join(dict.fromkeys(said))
    return "".join(character if character.isprintable() else " " for character in text)[:1000]
