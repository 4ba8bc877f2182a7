"""HTTPS in front of a plain port: a certificate authority of the test, a certificate for one address, a forwarder."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """The test's own certificate authority; ``bundle`` is what a client must trust."""

    bundle: Path
    server: Path
    """Certificate and key of the address."""

    @classmethod
    def create(cls, directory: Path, address: str) -> Authority:
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        name = _name("pinflow test authority")
        root = _certificate(name, name, root_key.public_key()).add_extension(x509.BasicConstraints(True, 0), True)
        leaf = _certificate(_name(address), name, key.public_key()).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False
        )
        bundle, server = directory / "ca.pem", directory / "server.pem"
        bundle.write_bytes(root.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        server.write_bytes(
            leaf.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cls(bundle, server)


class Forwarder:
    """Listens at an address with TLS and hands each connection's bytes on to a plain port of 127.0.0.1.

    One thread for all of them: a TLS connection that two threads use at once takes the whole process down.
    """

    def __init__(self, authority: Authority, address: str, target: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.server)
        self._target, self._loop = target, asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        serving = asyncio.start_server(self._serve, address, 0, ssl=context)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        self.url = f"https://{address}:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inside, outside = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(_copy(reader, outside), _copy(inside, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Until either end is closed; then both are."""
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    finally:
        target.close()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
