"""TLS: what clients see of it, and which files can't be used."""

import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import trio
from trio.testing import memory_stream_pair

from greenroom.client import AsyncClient, Client, DaemonUnreachable
from greenroom.supervisor.config import InvalidSetting
from greenroom.web.client.reaching import open_async_client
from greenroom.web.http import tls as tls_module
from greenroom.web.http.limits import Limits
from greenroom.web.http.serving import open_server
from greenroom.web.http.tls import TlsFiles, TlsUnusable
from greenroom.web.settings import DaemonSettings
from tests.web.http.certificates import Files, make_certificate
from tests.web.http.front import PATIENCE_S, SESSIONS, open_front
from tests.web.http.test_abuse import hello

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
TOKEN = "a-token-of-enough-characters"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A certificate that works."""
    return make_certificate(tmp_path_factory.mktemp("tls") / "one")


async def test_addresses_and_cookies_of_a_daemon_with_tls_are_secure(files: Files) -> None:
    """They say https and wss, and the browser never sends the cookie without TLS."""
    async with open_front(token=TOKEN, **files.settings) as front:
        trusted = ssl.create_default_context(cafile=files.authority)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            base_url=front.url, verify=trusted, headers=headers, trust_env=False, timeout=PATIENCE_S
        ) as client:
            assert front.url.startswith("https://127.0.0.1:")
            path = (await client.post(SESSIONS)).headers["Location"]
            address = (await client.get(f"{path}/playwright")).json()["address"]
            assert address == f"{front.url.replace('https', 'wss')}{path}/playwright"
            link = (await client.post(f"{path}/links", json={"mode": "view"})).json()["address"]
            assert link.startswith(f"{front.url}{path}/live#")
            cookie = (await client.post("/login", json={"token": TOKEN})).headers["Set-Cookie"]
            assert "; Secure;" in cookie
            command = [GREENROOM, "session", "attach", path.rpartition("/")[2]]
            env = {**os.environ, "GREENROOM_TOKEN": TOKEN, "GREENROOM_BIND": front.url[8:]}
            env |= {f"GREENROOM_{name.upper()}": str(file) for name, file in files.settings.items()}
            attached = await trio.run_process(command, capture_stdout=True, capture_stderr=True, env=env)
            assert attached.stdout.decode() == f"{address}\n"
            assert b"set NODE_EXTRA_CA_CERTS" in attached.stderr
            last = await client.get("/openapi.json", headers={"Connection": "close"})
            assert last.json()["openapi"]


async def test_client_of_a_proxy_with_tls_gets_secure_addresses() -> None:
    """The proxy says so; without it the same daemon's addresses are for plain HTTP."""
    async with open_front(token=TOKEN) as front:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        path = (await front.client.post(SESSIONS, headers=headers)).headers["Location"]
        for more, scheme, secure in (({}, "ws", False), ({"X-Forwarded-Proto": "https"}, "wss", True)):
            answer = await front.client.get(f"{path}/playwright", headers=headers | more)
            assert answer.json()["address"].partition(":")[0] == scheme
            login = await front.client.post("/login", json={"token": TOKEN}, headers=more)
            assert ("Secure" in login.headers["Set-Cookie"]) is secure


async def test_commands_expect_the_certificate_of_their_settings(files: Files, tmp_path: Path) -> None:
    """Whoever else takes the daemon's port does not get the token."""
    other = make_certificate(tmp_path / "other")
    async with open_front(token=TOKEN, **files.settings) as front:

        def listed(certificate: Path | None) -> object:
            with Client(front.url, TOKEN, certificate=certificate) as client:
                return client.sessions()

        assert await trio.to_thread.run_sync(listed, files.certificate) == []
        for certificate in (other.certificate, None):
            untrusted = "is not trusted: its certificate is invalid: [a-z]"
            with pytest.raises(DaemonUnreachable, match=untrusted):
                await trio.to_thread.run_sync(listed, certificate)
            async with AsyncClient(front.url, TOKEN, certificate=certificate) as client:
                with pytest.raises(DaemonUnreachable, match=untrusted) as refused:
                    await client.sessions()
            assert not refused.value.is_absent
        for missing in (tmp_path / "missing.pem", files.key):
            with pytest.raises(DaemonUnreachable, match=f"{missing} can't be read: (No such|it has)"):
                await trio.to_thread.run_sync(listed, missing)


async def test_client_trusts_what_the_system_trusts(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as an authority of a company's own, which no list of a library has."""
    async with open_front(token=TOKEN, **files.settings) as front:
        monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
        async with AsyncClient(front.url, TOKEN) as client:
            assert (await client.health()).status == "ok"
        monkeypatch.delenv("SSL_CERT_FILE")
        async with AsyncClient(front.url, TOKEN, retry_for_s=0) as client:
            with pytest.raises(DaemonUnreachable):
                await client.health()


async def test_command_that_does_not_trust_the_daemon_does_not_advise_to_start_one(files: Files) -> None:
    """It says what is wrong with the certificate, and what to set. So it does without TLS at that port."""
    async with open_front(token=TOKEN, **files.settings) as front:
        command = [GREENROOM, "status", "--url", front.url]
        done = await trio.run_process(command, capture_stderr=True, check=False)
        said = done.stderr.decode()
    assert done.returncode == 1
    assert f"What answers at {front.url} is not trusted: its certificate is invalid: " in said
    assert "set tls_certificate" in said
    assert "greenroom serve" not in said
    async with (
        open_front() as front,
        AsyncClient(front.url.replace("http", "https"), retry_for_s=0) as client,
    ):
        with pytest.raises(DaemonUnreachable, match=r": TLS fails: [a-z]") as refused:
            await client.sessions()
    assert not refused.value.is_absent


async def test_clients_without_tls_or_without_an_end_of_their_handshake_are_dropped(files: Files) -> None:
    """They get no answer, and others do."""
    tls = TlsFiles(files.certificate, files.key)
    async with open_server(hello, "127.0.0.1:0", tls=tls, limits=Limits(head_s=0.2, spread=0)) as url:
        port = int(url.rpartition(":")[2])
        for sent in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16", b""):
            silent = await trio.open_tcp_stream("127.0.0.1", port)
            async with silent:
                await silent.send_all(sent)
                with trio.fail_after(PATIENCE_S):
                    try:
                        answer = await silent.receive_some()
                    except trio.BrokenResourceError:
                        answer = b""
                assert b"HTTP/" not in answer
        async with open_async_client(url, certificate=files.certificate) as client:
            assert (await client.get("/")).status_code == 200


def encrypted(files: Files, folder: Path) -> Files:
    """Return the files with a password on the key."""
    key = folder / "encrypted.key"
    command = [
        "openssl",
        "pkey",
        "-in",
        str(files.key),
        "-aes256",
        "-passout",
        "pass:a-secret",
        "-out",
        str(key),
    ]
    subprocess.run(command, check=True)
    return Files(files.certificate, key, files.authority)


def readable(files: Files, folder: Path) -> Files:
    """Return the files with a key that everybody can read."""
    key = folder / "readable.key"
    key.write_bytes(files.key.read_bytes())
    key.chmod(0o644)
    return Files(files.certificate, key, files.authority)


def large(path: Path) -> Path:
    """Return the path of a file that is too large."""
    path.write_bytes(bytes((1 << 20) + 1))
    return path


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (
            lambda f, d: Files(d / "none.pem", f.key, f.authority),
            "tls_certificate .*none.pem can't be read",
        ),
        (
            lambda f, d: Files(f.certificate, d / "none.key", f.authority),
            "tls_key .*none.key can't be read",
        ),
        (lambda f, _d: Files(f.key, f.key, f.authority), "tls_certificate .* has no certificate in PEM"),
        (lambda f, _d: Files(f.certificate, f.certificate, f.authority), "tls_key .* has no key in PEM"),
        (lambda f, d: Files(f.certificate, make_certificate(d / "x").key, f.authority), "is not the key of"),
        (lambda f, _d: Files(Path("/dev/null"), f.key, f.authority), "/dev/null is not a regular file"),
        (lambda f, d: Files(large(d / "large.pem"), f.key, f.authority), "large.pem is larger than 1 MiB"),
        (readable, "tls_key .* has mode 0644, so that others can get at it: chmod 0600"),
        (encrypted, "tls_key .* has a password, which nobody could type in"),
    ],
)
def test_files_that_can_not_be_used_are_explained(
    files: Files, tmp_path: Path, broken: Callable[[Files, Path], Files], why: str
) -> None:
    """The text names the setting, the file and what is wrong."""
    made = broken(files, tmp_path)
    with pytest.raises(TlsUnusable, match=why):
        TlsFiles(made.certificate, made.key).open_context()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tls_certificate": "a.pem"}, "tls_key is not set, must be the path of the key of"),
        ({"tls_key": "a.key"}, "tls_certificate is not set, must be the path of the certificate of"),
        ({"tls_certificate": "a", "tls_key": "b", "bind": "unix:/run/a"}, "must be unset on a Unix socket"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, str], why: str) -> None:
    """A certificate needs its key, and a Unix socket needs neither."""
    with pytest.raises(InvalidSetting, match=why):
        DaemonSettings(**settings)  # type: ignore[arg-type]


async def test_renewed_certificate_is_used_and_a_broken_one_is_not(
    mock_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """New connections get it within a minute; half of a renewal, or a pipe, changes nothing."""
    ours = make_certificate(tmp_path / "ours")
    tls = TlsFiles(ours.certificate, ours.key)
    before = await shown(tls.open_context())
    used: list[ssl.SSLContext] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tls.keep_renewed, used.append)
        renewed = make_certificate(tmp_path / "renewed")
        ours.certificate.rename(tmp_path / "old.pem")
        os.mkfifo(ours.certificate)
        assert "is not a regular file" in await told_a_minute_later(mock_clock)
        renewed.certificate.replace(ours.certificate)
        assert "is not the key of" in await told_a_minute_later(mock_clock)
        assert used == []
        renewed.key.replace(ours.key)
        await told_a_minute_later(mock_clock)
        assert await shown(used[0]) != before
        nursery.cancel_scope.cancel()


async def told_a_minute_later(clock: trio.testing.MockClock) -> str:
    """Return why the certificate of a minute later can't be used; nothing if it can."""
    await trio.testing.wait_all_tasks_blocked()
    with structlog.testing.capture_logs() as logs:
        clock.jump(60)
        while not logs:  # the files are read in a thread, on the real clock
            await trio.to_thread.run_sync(time.sleep, 0.01)
    return str(logs[0].get("why", ""))


async def test_files_replaced_while_they_are_loaded_are_not_mixed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was checked is used: a certificate with the key of another would break every handshake."""
    ours, other = make_certificate(tmp_path / "ours"), make_certificate(tmp_path / "other")
    expected = ssl.PEM_cert_to_DER_cert(ours.certificate.read_text().partition("\n-----BEGIN")[0] + "\n")
    load = ssl.SSLContext.load_cert_chain

    def load_late(context: ssl.SSLContext, *args: Any, **more: Any) -> None:
        shutil.copy(other.certificate, ours.certificate)
        load(context, *args, **more)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load_late)
    tls = TlsFiles(ours.certificate, ours.key)
    assert await shown(tls.open_context()) == expected


async def test_server_shows_a_renewed_certificate_to_new_connections(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that was open before goes on."""
    monkeypatch.setattr(tls_module, "_RENEWED_S", 0.05)
    ours, renewed = make_certificate(tmp_path / "ours"), make_certificate(tmp_path / "renewed")
    async with (
        open_server(hello, "127.0.0.1:0", tls=TlsFiles(ours.certificate, ours.key)) as url,
        open_async_client(url, certificate=ours.certificate) as before,
    ):
        assert (await before.get("/")).status_code == 200
        renewed.certificate.replace(ours.certificate)
        renewed.key.replace(ours.key)
        with trio.fail_after(PATIENCE_S):
            while not await is_served(url, renewed.authority):
                await trio.sleep(0.05)
        assert (await before.get("/")).status_code == 200


async def is_served(url: str, authority: Path) -> bool:
    """Return whether a new client that trusts `authority` alone gets an answer."""
    try:
        async with open_async_client(url, certificate=authority) as client:
            return (await client.get("/")).status_code == 200
    except httpx.ConnectError:
        return False


async def shown(context: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a client is shown."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    ours, theirs = memory_stream_pair()
    server = trio.SSLStream(ours, context, server_side=True)
    client = trio.SSLStream(theirs, trusting)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        nursery.start_soon(client.do_handshake)
    der: bytes | None = client.getpeercert(binary_form=True)
    return der
