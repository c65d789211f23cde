"""The running daemon's sessions, from the command line: what `greenroom session` adds to the client."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from greenroom.web.client import AsyncClient, Client, RemoteSession
from greenroom.web.client.daemon import TIMEOUT_S
from greenroom.web.settings import DaemonSettings
from greenroom.web.settings.sources import CLIENT_TOKEN_VARIABLE


class Refused(Exception):
    """Something that a command was told can't be done; the text is for the user."""


def make_client(settings: DaemonSettings, url: str | None = None, *, timeout_s: float = TIMEOUT_S) -> Client:
    """Return a client of the daemon at `url`, or where the one of these settings would be.

    It asks nothing twice: whoever runs a command sees why it was refused, and decides.
    """
    certificate = None if url else settings.tls_certificate
    where, token = url or settings.url, token_of(settings)
    return Client(where, token, timeout_s=timeout_s, retry_for_s=0, certificate=certificate)


def make_async_client(settings: DaemonSettings, url: str | None = None) -> AsyncClient:
    """Return the same for Trio."""
    certificate = None if url else settings.tls_certificate
    return AsyncClient(url or settings.url, token_of(settings), retry_for_s=0, certificate=certificate)


def token_of(settings: DaemonSettings) -> str | None:
    """Return the token that commands send: the one in GREENROOM_CLIENT_TOKEN, or else the daemon's own."""
    own = settings.token.reveal() if settings.token else None
    return os.environ.get(CLIENT_TOKEN_VARIABLE) or own


def session_at(client: Client, session_id: str) -> RemoteSession:
    """Return the session with this id. Raises `Refused` for what can't be one."""
    try:
        return client.session(session_id)
    except ValueError as exc:
        raise Refused(str(exc)) from None


def save_screenshot(session: RemoteSession, path: Path) -> None:
    """Write a picture of the page to `path`, of the type that its name ends with. Raises `Refused`."""
    types: dict[str, Literal["jpeg", "webp"]] = {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
    picture = session.screenshot(type=types.get(path.suffix.lower(), "png"))
    try:
        path.write_bytes(picture)
    except OSError as exc:
        raise Refused(f"Can't write {path}: {exc.strerror}") from exc


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
