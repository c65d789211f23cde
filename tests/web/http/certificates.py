"""Certificates for the tests' daemons."""

from pathlib import Path
from typing import Any

import attrs
import trustme


@attrs.frozen
class Files:
    """A certificate with its chain, its key, and the authority's certificate, which a client trusts."""

    certificate: Path
    key: Path
    authority: Path

    @property
    def settings(self) -> dict[str, Any]:
        """The settings with which a daemon uses them."""
        return {"tls_certificate": self.certificate, "tls_key": self.key}


def make_certificate(folder: Path) -> Files:
    """Write the files of a new certificate for 127.0.0.1, by a new authority, into a new folder."""
    folder.mkdir()
    files = Files(folder / "server.pem", folder / "server.key", folder / "authority.pem")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(files.authority))
    for blob in (*issued.cert_chain_pems, authority.cert_pem):
        blob.write_to_path(str(files.certificate), append=True)
    issued.private_key_pem.write_to_path(str(files.key))
    files.key.chmod(0o600)
    return files
