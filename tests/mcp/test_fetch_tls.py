"""Over https the connection goes to the address that was checked, and the certificate must be of the name."""

import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imagerag import UsageError
from imagerag.tools.testing.mock_openai import tiny_png
from imagerag.tools.url_fetcher import Fetcher

NAME = "pictures.example"
PNG = tiny_png("over https")


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate authority of our own, and a chain with key for `NAME` that it signed: two files."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    authority = _certificate("Test authority", keys[0], "Test authority", keys[0], authority=True)
    leaf = _certificate(NAME, keys[1], "Test authority", keys[0], authority=False)
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    trusted, served = folder / "authority.pem", folder / "server.pem"
    trusted.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    served.write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
    return trusted, served


def _certificate(name: str, key: Any, issuer: str, signer: Any, *, authority: bool) -> x509.Certificate:
    now = datetime.now(UTC)
    subject, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if authority:
        signs = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        )
        usage = x509.KeyUsage(**signs, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
        made = made.add_extension(usage, critical=True)
    else:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return made.sign(signer, hashes.SHA256())


@dataclass
class Web:
    """A server over TLS.

    Attributes:
        hosts: the Host headers of its requests.
        names: the names it was greeted with (SNI).
    """

    port: int
    trusts: ssl.SSLContext
    hosts: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    def fetcher(self, tls: ssl.SSLContext | None) -> Fetcher:
        """Every name leads to this machine, as if that were public."""

        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        return Fetcher(max_bytes=1 << 20, timeout_s=10, allowed=lambda _: True, resolve=resolve, tls=tls)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    trusted, served = certified(tmp_path)
    web = Web(0, ssl.create_default_context(cafile=str(trusted)))

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.hosts.append(self.headers["Host"])
            self.send_response(302 if self.path.startswith("/to/") else 200)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(PNG)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that hangs up on the certificate is what is tested here."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served)
    context.sni_callback = lambda _socket, name, _context: web.names.append(name)
    server = Server(("127.0.0.1", 0), Pages)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    web.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield web
    server.shutdown()
    server.server_close()
    thread.join()


async def test_the_name_is_greeted_asked_for_and_certified(web: Web) -> None:
    assert await web.fetcher(web.trusts).fetch(f"https://{NAME}:{web.port}/a.png") == PNG
    assert (web.names, web.hosts) == ([NAME], [f"{NAME}:{web.port}"])


async def test_a_certificate_of_another_name_is_refused(web: Web) -> None:
    with pytest.raises(UsageError, match=r"cannot be fetched: .*(certificate|CERTIFICATE)"):
        await web.fetcher(web.trusts).fetch(f"https://other.example:{web.port}/a.png")
    with pytest.raises(UsageError, match=r"cannot be fetched: .*(certificate|CERTIFICATE)"):
        await web.fetcher(web.trusts).fetch(f"https://{NAME}:{web.port}/to/https://other.example:{web.port}/a.png")
    assert web.names == ["other.example", NAME, "other.example"]
    assert web.hosts == [f"{NAME}:{web.port}"], "nothing was asked of what could not say who it is"


async def test_who_signs_for_himself_is_not_trusted(web: Web) -> None:
    with pytest.raises(UsageError, match=r"cannot be fetched: .*(certificate|CERTIFICATE)"):
        await web.fetcher(None).fetch(f"https://{NAME}:{web.port}/a.png")
    assert web.hosts == []
