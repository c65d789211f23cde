"""Where a proxy is: time zone, language and position that fit its public address.

Only separate processes import this, as `camoufox`. Camoufox's package has all that it takes: services that
tell an address (`camoufox.ip`), a database that `camoufox fetch` downloads (`camoufox.geolocation`), and how
many people speak what in a country (`camoufox.locales`). Its `get_geolocation` would download a newer
database while a client waits, so the database is read here.
"""

import sys
import threading
from pathlib import Path
from typing import Any, Final

from camoufox.geolocation import ALLOW_GEOIP, get_mmdb_path, load_geoip_config
from camoufox.ip import Proxy, public_ip
from camoufox.locales import SELECTOR, Geolocation

from greenroom.actors.browser.host.firefox import playwright_proxy
from greenroom.actors.browser.wire import messages

LOOKUP_S: Final = 6.0
"""How long a lookup may take, of the 30 s that a session has to begin."""

Place = dict[str, str | float]
"""What Camoufox takes as its configuration: `timezone`, `geolocation:*` and `locale:*`."""

_KEYS: Final[dict[str, type]] = {
    "timezone": str,
    "geolocation:latitude": float,
    "geolocation:longitude": float,
    "locale:language": str,
    "locale:region": str,
    "locale:script": str,
}


def database(version: str = "ipv4") -> Path | None:
    """Return the installed database, for a version of the protocol; None if there is none."""
    if not ALLOW_GEOIP:
        return None
    path = get_mmdb_path(version)
    return path if path.is_file() else None


def find_place(proxy: messages.Proxy) -> Place | None:
    """Return where `proxy` is; None if there is no database, or that can't be found out in `LOOKUP_S`.

    One of a few services on the internet is asked through the proxy for its address. Why it failed is
    printed to standard error, without the proxy's password.
    """
    if database() is None:
        print("the proxy's place is not known: there is no location database", file=sys.stderr)
        return None
    found: list[Place] = []
    problems: list[str] = []

    def look_up() -> None:
        try:
            found.append(_place_of(public_ip(Proxy(**playwright_proxy(proxy)).as_string())))
        except Exception as exc:  # whatever it is; its text may have the proxy's password
            problems.append(type(exc).__name__)

    # Each service has 5 s. The process ends without waiting for such a thread.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(LOOKUP_S)
    if not found:
        why = problems[0] if problems else f"no answer in {LOOKUP_S:g} s"
        print(f"the proxy's place could not be found out: {why}", file=sys.stderr)
    return found[0] if found else None


def as_place(kept: Any) -> Place | None:
    """Return a place as it was kept in a file; None if it is none."""
    if not isinstance(kept, dict) or not kept.keys() <= _KEYS.keys():
        return None
    return kept if all(isinstance(value, _KEYS[key]) for key, value in kept.items()) else None


def _place_of(address: str) -> Place:
    """Return the place of an address. Raises anything."""
    import maxminddb  # noqa: PLC0415  # of the package's extra `geoip`

    path = database("ipv6" if ":" in address else "ipv4")
    if path is None:
        raise FileNotFoundError(address)
    names = load_geoip_config()["paths"]
    with maxminddb.open_database(path) as reader:
        record = reader.get(address)
    values = {what: _find(record, names[what]) for what in ("iso_code", "longitude", "latitude", "timezone")}
    place: Place = Geolocation(
        locale=SELECTOR.from_region(str(values["iso_code"]).upper()),
        longitude=float(values["longitude"]),
        latitude=float(values["latitude"]),
        timezone=str(values["timezone"]),
    ).as_config()
    return place


def _find(record: Any, names: str) -> Any:
    """Return what is at a path such as `location.time_zone`. Raises `KeyError` or `TypeError`."""
    for name in names.split("."):
        record = record[name]
    return record
