"""`greenroom leaks` against a daemon, and against other programs that may answer in its place."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

import greenroom.web.commands.leaks
from greenroom.web.cli import main
from greenroom.web.client.request import MAX_JSON_BYTES
from tests.patience import patience

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
NOTHING = b'{"processes":[],"directories":[],"entries":[],"bytes":0}'
ONE = (
    b'{"processes":[{"pid":7,"name":"[red]x\\u001b[2J","session":"s"}],'
    b'"directories":[{"name":"d","session":"s","bytes":5}],"entries":["s"],"bytes":5}'
)
FINE = b'{"status":"success","message":"Nothing is leaked","owned":%s,"leaked":%s}'


@contextlib.contextmanager
def answering(answer: bytes, *, drip: bool = False, silent: bool = False) -> Iterator[str]:
    """Answer one connection with `answer`, byte by byte if `drip`; yield the URL."""
    gone = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                if silent:
                    gone.wait(patience(10))
                elif drip:
                    for byte in answer:
                        connection.sendall(bytes([byte]))
                        if gone.wait(0.01):
                            break
                else:
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            gone.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def leaks(url: str, **env: str) -> Result:
    """Run the command. It must never fail with an exception."""
    result = CliRunner().invoke(main, ["leaks", "--url", url], env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"<!doctype html><title>It works!</title>",
        HEAD,
        HEAD + b"{}",
        HEAD + b"[]",
        HEAD + b"null",
        HEAD + b'"text"',
        HEAD + b'{"status":"success","message":"a","owned":[],"leaked":[]}',
        HEAD + b'{"status":"success","message":"a","owned":{},"leaked":{}}',
        HEAD + FINE % (NOTHING, b'{"processes":[1],"directories":[],"entries":[],"bytes":0}'),
        HEAD + FINE % (NOTHING, NOTHING.replace(b"0}", b'"many"}')),
        HEAD + b'{"x":' + b"[" * 100_000,
        HEAD + b"\xff\xfe\x00",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found",
        b'HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n{"message":"a","b":1}',
        b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
    ],
    ids=lambda answer: repr(answer[-30:]),
)
def test_another_program_on_the_port_is_reported(answer: bytes) -> None:
    """There is no traceback, just one line and exit code 1."""
    with answering(answer) as url:
        result = leaks(url)
    assert result.exit_code == 1
    [line] = result.output.splitlines()
    assert line.startswith("greenroom: ")
    assert url in line


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "dripping"])
def test_answer_that_does_not_end_times_out(monkeypatch: pytest.MonkeyPatch, silent: bool) -> None:
    """The time limit applies to the whole answer, however steadily its bytes come."""
    monkeypatch.setattr(greenroom.web.commands.leaks, "HTTP_TIMEOUT_S", 0.3)
    started = time.monotonic()
    with answering(HEAD + b" " * 1000, drip=True, silent=silent) as url:
        result = leaks(url)
    assert (result.exit_code, time.monotonic() - started < patience(5)) == (1, True)
    assert "within 0.3 s" in result.output


def test_answer_that_is_far_too_long_is_refused() -> None:
    """The other side can't fill our memory."""
    with answering(HEAD + b" " * MAX_JSON_BYTES + FINE % (NOTHING, NOTHING)) as url:
        result = leaks(url)
    assert (result.exit_code, "says too much" in result.output) == (1, True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "http://",
        "http://[",
        "ftp://localhost",
        "http://localhost:99999",
        "http://a..b",
        "file:///etc",
    ],
)
def test_invalid_url_is_reported(url: str) -> None:
    """A typo is not a traceback either."""
    assert leaks(url).exit_code == 1


def test_refusal_of_a_daemon_is_shown() -> None:
    """For example, a refused token."""
    body = (
        b'{"status":"error","message":"Authentication required",'
        b'"error_details":{"code":"A","details":"b","retryable":false,"request_id":"c"}}'
    )
    head = b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n"
    with answering(head + body) as url:
        result = leaks(url)
    assert (result.exit_code, "Authentication required: b (set GREENROOM_TOKEN" in result.output) == (1, True)


@pytest.mark.parametrize(("leaked", "code"), [(NOTHING, 0), (ONE, 1)])
def test_answer_of_a_daemon_is_shown(leaked: bytes, code: int) -> None:
    """It is shown as a table, no name in it moves the cursor, and no proxy is used."""
    with answering(HEAD + FINE % (ONE, leaked)) as url:
        result = leaks(url, HTTP_PROXY="http://127.0.0.1:1", http_proxy="http://127.0.0.1:1")
    assert result.exit_code == code
    assert "of that, leaked" in result.output
    assert "\x1b" not in result.output
    assert ("process 7 ([red]x [2J) of s" in result.output) == bool(code)
