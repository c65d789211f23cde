"""Where a proxy is, looked up through it in a small database of the format that Camoufox downloads.

The real database and the real services are not reached: a proxy on this machine answers in their name.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import msgspec
import pytest
import trustme
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from greenroom.actors.browser.wire import messages
from tests.patience import patience

ADDRESS = "203.0.113.7"
BERLIN = {
    "country": {"iso_code": "DE"},
    "location": {"latitude": 52.5, "longitude": 13.25, "time_zone": "Europe/Berlin"},
}

# In one process, as the package takes a second to import. It settles its directories when that happens.
BUILD = """
import contextlib, io, json, shutil, sys, warnings
from pathlib import Path
import msgspec
from camoufox.geolocation import get_mmdb_path
from greenroom.actors.browser.host import camoufox, camoufox_place
from greenroom.actors.browser.wire import messages

warnings.simplefilter("ignore")
built = []
for step, launch in msgspec.json.decode(sys.argv[1], type=list[tuple[str, messages.Launch]]):
    if step == "with database":
        get_mmdb_path().parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sys.argv[3], get_mmdb_path())
    camoufox_place.LOOKUP_S = 0.5 if step == "hurried" else float(sys.argv[4])
    Path(launch.profile).mkdir(exist_ok=True)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        env = camoufox.build_args(launch, block_webgl=True)["env"]
    chunks = sum(name.startswith("CAMOU_CONFIG_") for name in env)
    config = json.loads("".join(env[f"CAMOU_CONFIG_{number}"] for number in range(1, chunks + 1)))
    kept = json.loads(Path(launch.profile, "greenroom-identity.json").read_text())
    built.append({"config": config, "kept": kept, "said": said.getvalue()})
json.dump(built, open(sys.argv[2], "w"))
"""


@attrs.define
class Proxy:
    """A proxy that counts what it is asked for, and answers with `ADDRESS` in the name of any site."""

    port: int
    asked: int = 0


@contextmanager
def open_proxy(certificate: trustme.LeafCert, *, answers: bool = True) -> Iterator[Proxy]:
    """Run a proxy for the length of the block. One that does not answer takes connections only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    held: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)  # CONNECT
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with context.wrap_socket(connection, server_side=True) as site:
                site.recv(65536)
                site.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(ADDRESS)}\r\n\r\n{ADDRESS}".encode())

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                proxy.asked += 1
                if answers:
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()
                else:
                    held.append(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener.getsockname()[1])
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(patience(5))
            for connection in held:
                connection.close()


@attrs.frozen(kw_only=True)
class Story:
    """What each of several launches was built with, and how often proxies were asked."""

    unknown: dict[str, Any]
    first: dict[str, Any]
    again: dict[str, Any]
    elsewhere: dict[str, Any]
    refused: dict[str, Any]
    hanging: dict[str, Any]
    asked: int
    asked_hanging: int


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Build the arguments of launches without the database, with it, and behind proxies of all kinds."""
    folder = tmp_path_factory.mktemp("place")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    writer = MMDBWriter(ip_version=4, database_type="test", float_type="f64")
    writer.insert_network(IPSet(["203.0.113.0/24"]), BERLIN)
    writer.to_db_file(str(folder / "places.mmdb"))
    bundle = folder / "bundle"
    (bundle / "fontconfig" / "linux").mkdir(parents=True)
    (bundle / "fontconfig" / "linux" / "fonts.conf").write_text("<fontconfig></fontconfig>")
    (bundle / "properties.json").write_text("[]")
    (bundle / "application.ini").write_text("[App]\nVersion=150.0.2\n")
    (bundle / "camoufox-bin").touch(0o755)

    def launch(profile: str, port: int | None) -> messages.Launch:
        server = f"http://127.0.0.1:{port}"
        return messages.Launch(
            id=1,
            session="a",
            engine="camoufox",
            executable=str(bundle / "camoufox-bin"),
            profile=str(folder / profile),
            headless=True,
            marker="o.a",
            scratch=str(folder),
            proxy=None if port is None else messages.Proxy(server=server, username="me", password="hunter2"),
        )

    certificate = authority.issue_cert("api.ipify.org")
    with open_proxy(certificate) as proxy, open_proxy(certificate, answers=False) as hanging:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            nobody = closed.getsockname()[1]
        steps = [
            ("without database", launch("unknown", proxy.port)),
            ("with database", launch("shop", proxy.port)),
            ("again", launch("shop", nobody)),
            ("again", launch("elsewhere", None)),
            ("again", launch("refused", nobody)),
            ("hurried", launch("hanging", hanging.port)),
        ]
        command = [sys.executable, "-P", "-c", BUILD, msgspec.json.encode(steps).decode()]
        environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
        environment |= {"HOME": str(folder / "home"), "REQUESTS_CA_BUNDLE": str(folder / "authority.pem")}
        subprocess.run(
            [*command, str(folder / "built"), str(folder / "places.mmdb"), str(patience(6))],
            env=environment,
            check=True,
            timeout=patience(60),
        )
        asked, asked_hanging = proxy.asked, hanging.asked
    unknown, first, again, elsewhere, refused, late = json.loads((folder / "built").read_text())
    return Story(
        unknown=unknown,
        first=first,
        again=again,
        elsewhere=elsewhere,
        refused=refused,
        hanging=late,
        asked=asked,
        asked_hanging=asked_hanging,
    )


def test_machine_behind_a_proxy_is_where_that_is(story: Story) -> None:
    """Time zone, language and position are those of its address, and of nothing else."""
    place = dict(story.first["kept"]["place"])
    assert place.pop("locale:language").isalpha()  # drawn by how many people speak it there
    place.pop("locale:script", None)
    assert place == {
        "timezone": "Europe/Berlin",
        "geolocation:latitude": 52.5,
        "geolocation:longitude": 13.25,
        "locale:region": "DE",
    }
    assert story.first["config"].items() >= place.items()
    assert story.first["said"] == ""


def test_place_is_looked_up_once_and_stays(story: Story) -> None:
    """Even if the proxy does not answer any more; all else of the machine stays, too."""
    assert story.asked == 1
    assert story.again["kept"] == story.first["kept"]
    assert story.again["config"] == story.first["config"]
    assert story.again["said"] == ""


def test_without_a_place_all_is_as_without_a_proxy(story: Story) -> None:
    """If there is no database, no lookup, or no answer in time. Why is said, without the password."""
    for one in (story.unknown, story.elsewhere, story.refused, story.hanging):
        assert "place" not in one["kept"]
        assert not any(name.startswith("geolocation:") for name in one["config"])
        assert "hunter2" not in one["said"]
    assert "there is no location database" in story.unknown["said"]
    assert story.elsewhere["said"] == ""
    assert story.refused["said"] == "the proxy's place could not be found out: InvalidIP\n"
    assert story.hanging["said"] == "the proxy's place could not be found out: no answer in 0.5 s\n"
    assert story.asked_hanging == 1
