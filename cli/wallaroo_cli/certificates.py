"""``wallaroo-cluster certificates``: an authority for a cluster, a certificate for each host."""

import datetime
import ipaddress
import os
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wallaroo.errors import ConfigError
from wallaroo_cli.errors import report_errors

AUTHORITY_DAYS = 3650
BACKDATED = datetime.timedelta(hours=1)
"""Certificates are valid from an hour ago, because the clocks of hosts differ a little."""

EPILOG = """\b
Creates in DIR
  ca.pem               for --tls-ca, on every host
  ca-key.pem           signs more certificates; do not keep it on a host of the cluster
  HOST.pem             for --tls-cert, on that host
  HOST-key.pem         for --tls-key, on that host

\b
Example:
  wallaroo-cluster certificates certs --hosts alpha,beta,gamma

Run it again with the same DIR to add hosts, or before certificates expire: it uses the authority
that is already there."""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--hosts",
    metavar="A,B,...",
    required=True,
    help="Names or addresses of the hosts that get a certificate.",
)
@click.option(
    "--days",
    default=365,
    show_default=True,
    type=click.IntRange(1, AUTHORITY_DAYS),
    help="How long certificates are valid.",
)
@report_errors
def certificates(folder: Path, hosts: str, days: int) -> None:
    """Create TLS certificates for the hosts of one cluster."""
    names = [host.strip() for host in hosts.split(",") if host.strip()]
    if not names:
        raise ConfigError("--hosts is empty", hint="give --hosts alpha,beta")
    if bad := [name for name in names if name.startswith((".", "-")) or os.sep in name]:
        raise ConfigError(f"{bad[0]!r} is not a host name", hint="give names or addresses")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = read_authority(folder)
        for name in names:
            write_certificate(folder, name, authority, datetime.timedelta(days=days))
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be used: {error.strerror}", hint="choose another DIR"
        ) from error
    click.echo(f"{folder}: ca.pem for all hosts, and two files for each host:")
    for name in names:
        stem = _stem(name)
        click.echo(f"  {name}: --tls-cert {stem}.pem --tls-key {stem}-key.pem --tls-ca ca.pem")


def read_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the authority in a folder; create it if there is none."""
    certificate_path, key_path = folder / "ca.pem", folder / "ca-key.pem"
    if certificate_path.exists() and key_path.exists():
        try:
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
            key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{certificate_path} and its key cannot be read: {error}",
                hint="choose another DIR; a new authority needs new certificates on all hosts",
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigError(f"{key_path} is not a key that this command created")
        return certificate, key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wallaroo cluster authority")])
    certificate = (
        _builder(name, name, key, datetime.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_path, key)
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def write_certificate(
    folder: Path,
    host: str,
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    valid: datetime.timedelta,
) -> None:
    """Write a host's certificate and key, signed by the authority."""
    ca, ca_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        _builder(name, ca.subject, key, valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write_key(folder / f"{_stem(host)}-key.pem", key)
    path = folder / f"{_stem(host)}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a key to a file that is readable for its owner only, from the first byte on."""
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(text)


def _stem(host: str) -> str:
    return host.replace(":", "_")
