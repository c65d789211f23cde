"""Checks of the network: the daemon's own address, the proxy, the site."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from greenroom.supervisor.machine import parse_proxy
from greenroom.web.checks.finding import Finding, Level
from greenroom.web.client.errors import ClientError
from greenroom.web.client.reaching import open_client
from greenroom.web.client.reasons import reason_of
from greenroom.web.http.listening import BindFailed, is_dead_socket
from greenroom.web.settings import DaemonSettings

ANSWER_S = 10.0
_CONNECT_S = 5.0


def check_port(settings: DaemonSettings) -> Finding:
    """Check whether the daemon can listen on its address. One that starts meanwhile is not disturbed."""
    bind = settings.bind
    try:
        if settings.socket_path is not None:
            _check_socket_file(settings.socket_path)
            return Finding("port", Level.OK, f"{bind} is free")
        host, port = settings.address or ("", 0)
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)  # fails beside who listens; as this one does not, others may
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE and _is_ours(settings):
            found = f"{bind}: a Greenroom daemon serves there already"
            return Finding("port", Level.WARN, found, "use that one, or set bind to start another")
        why = exc.why if isinstance(exc, BindFailed) else exc.strerror or exc
        found = f"{bind} can't be listened on: {why}"
        return Finding("port", Level.FAIL, found, _fix_of(exc, settings))
    return Finding("port", Level.OK, f"{bind} is free")


def _check_socket_file(path: Path) -> None:
    """Raise OSError unless a socket can be made there."""
    is_dead_socket(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        code = errno.EACCES if path.parent.is_dir() else errno.ENOENT
        raise OSError(code, os.strerror(code))


def _fix_of(exc: OSError, settings: DaemonSettings) -> str:
    """Return what to do about an address that can't be listened on."""
    path = settings.socket_path
    match exc.errno:
        case errno.EADDRINUSE:
            return "set bind to another address, or stop what uses this one"
        case errno.ENOENT | errno.ENOTDIR if path is not None:
            return f"make the directory {path.parent}, or set bind to a path in another"
        case errno.EACCES if path is not None:
            return f"let the daemon's user write to {path.parent}, or set bind to a path elsewhere"
        case errno.EACCES:
            return "set bind to a port from 1024 on: those below are root's"
    return "set bind to another address"


def _is_ours(settings: DaemonSettings) -> bool:
    try:
        with open_client(settings.url, certificate=settings.tls_certificate, timeout=_CONNECT_S) as client:
            answer = client.get("/health").json()
        return isinstance(answer, dict) and "status" in answer
    except (httpx.HTTPError, ClientError, OSError, json.JSONDecodeError, UnicodeDecodeError):
        return False


def check_network(settings: DaemonSettings) -> Iterator[Finding]:
    """Check whether the proxy, if any, accepts connections, and what the site answers to a plain request."""
    if settings.proxy is not None:
        proxy = _check_proxy(settings)
        yield proxy
        if proxy.level is not Level.OK:
            return
    yield _check_site(settings)


def _check_proxy(settings: DaemonSettings) -> Finding:
    shown = settings.redacted_proxy
    parts = urlsplit(_server(settings))
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), _CONNECT_S).close()
    except (OSError, UnicodeError) as exc:
        found = f"{shown} can't be reached: {_words(exc)}"
        return Finding("proxy", Level.FAIL, found, "start the proxy, or correct the setting proxy")
    return Finding("proxy", Level.OK, f"{shown} takes connections")


def _check_site(settings: DaemonSettings) -> Finding:
    url = settings.tiktok_url
    through = "" if settings.proxy is None else " through the proxy"
    if urlsplit(_server(settings)).scheme.startswith("socks"):
        return Finding("site", Level.OK, f"{url} was not asked: only browsers use a SOCKS proxy")
    try:
        status = _ask(settings)
    except httpx.ProxyError as exc:
        found = f"{url} can't be reached: the proxy refuses: {_words(exc)}"
        return Finding("site", Level.FAIL, found, "check the proxy's user and password, and its rules")
    except (httpx.HTTPError, OSError, ValueError) as exc:
        found = f"{url} can't be reached{through}: {_words(exc)}"
        return Finding(
            "site", Level.FAIL, found, "check this machine's network and DNS, or the setting tiktok_url"
        )
    found = f"{url} answers{through} with HTTP {status}"
    if status >= 500:
        return Finding("site", Level.FAIL, found, "wait until the site is up again")
    if status >= 400:
        fix = "open it in a browser on this machine: the site may refuse this address, or only plain requests"
        return Finding("site", Level.WARN, found, fix)
    return Finding("site", Level.OK, found)


def _ask(settings: DaemonSettings) -> int:
    """Request the site without cookies and return its status."""
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    with (
        httpx.Client(
            proxy=_proxy(settings),
            follow_redirects=True,
            timeout=ANSWER_S,
            cookies=no_cookies,
            trust_env=False,  # browsers ignore this shell's proxy variables too
        ) as client,
        client.stream("GET", settings.tiktok_url) as answer,
    ):
        return answer.status_code


def _server(settings: DaemonSettings) -> str:
    return "" if settings.proxy is None else parse_proxy(settings.proxy.reveal()).server


def _proxy(settings: DaemonSettings) -> httpx.Proxy | None:
    if settings.proxy is None:
        return None
    proxy = parse_proxy(settings.proxy.reveal())
    return httpx.Proxy(proxy.server, auth=(proxy.username, proxy.password) if proxy.username else None)


def _words(error: Exception) -> str:
    """Say in plain words why something could not be reached."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return f"no answer within {ANSWER_S:g} s" if isinstance(error, httpx.HTTPError) else "no answer"
    return reason_of(error)
