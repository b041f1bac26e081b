"""TLS without any connection: which peers are accepted, and what both ends report of a refusal."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from tests.hosts.sites import make_certificates
from wallaroo.errors import ConfigError, ProtocolError
from wallaroo_cli.certificates import read_authority, write_certificate
from wallaroo_workers.network.tls import ALERT, Tls, TlsFiles, TlsStream


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of this cluster: ``alpha``, ``beta``, and ``late``, which has expired; ``other`` is not."""
    folder = make_certificates(tmp_path_factory.mktemp("certs"), "alpha", "beta")
    write_certificate(folder, "late", read_authority(folder), timedelta(minutes=-30))
    elsewhere = make_certificates(tmp_path_factory.mktemp("elsewhere"), "other")
    for name in ("other.pem", "other-key.pem"):
        (folder / name).write_bytes((elsewhere / name).read_bytes())
    return folder


def tls_of(folder: Path, host: str) -> Tls:
    return Tls(
        TlsFiles(
            certificate=str(folder / f"{host}.pem"),
            key=str(folder / f"{host}-key.pem"),
            authority=str(folder / "ca.pem"),
        )
    )


def ends(folder: Path, dialer: str, listener: str) -> tuple[TlsStream, TlsStream]:
    dialing = TlsStream(tls_of(folder, dialer), is_listening=False)
    listening = TlsStream(tls_of(folder, listener), is_listening=True)
    dialing.start()
    listening.start()
    return dialing, listening


def shake_hands(dialing: TlsStream, listening: TlsStream) -> None:
    while not (dialing.is_open and listening.is_open):
        assert listening.receive_data(dialing.take_bytes()) == b""
        assert dialing.receive_data(listening.take_bytes()) == b""


def test_both_ends_with_certificates_of_the_cluster_understand_each_other(
    certificates: Path,
) -> None:
    dialing, listening = ends(certificates, "alpha", "beta")
    shake_hands(dialing, listening)
    large = bytes(range(256)) * 4_000
    dialing.write(large)
    encrypted = dialing.take_bytes()
    assert large[:256] not in encrypted
    cut = len(encrypted) // 3
    assert listening.receive_data(encrypted[:cut]) + listening.receive_data(encrypted[cut:]) == (
        large
    )
    listening.write(b"back")
    assert dialing.receive_data(listening.take_bytes()) == b"back"


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [("other", "unable to get local issuer certificate"), ("late", "certificate has expired")],
)
def test_a_dialer_with_a_wrong_certificate_is_refused_with_the_reason(
    certificates: Path, certificate: str, reason: str
) -> None:
    dialing, listening = ends(certificates, certificate, "beta")
    with pytest.raises(ProtocolError, match=f"the peer's certificate is rejected: {reason}"):
        shake_hands(dialing, listening)
    assert not listening.is_open
    with pytest.raises(ProtocolError, match="the peer rejects our certificate"):
        dialing.receive_data(listening.last_bytes())


@pytest.mark.parametrize("certificate", ["other", "late"])
def test_a_listener_with_a_wrong_certificate_is_refused(
    certificates: Path, certificate: str
) -> None:
    dialing, listening = ends(certificates, "alpha", certificate)
    with pytest.raises(ProtocolError, match="the peer's certificate is rejected"):
        shake_hands(dialing, listening)
    assert not dialing.is_open


def test_a_dialer_without_a_certificate_is_refused(certificates: Path) -> None:
    bare = tls_of(certificates, "alpha")
    bare.dialing = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    bare.dialing.check_hostname = False
    dialing = TlsStream(bare, is_listening=False)
    listening = TlsStream(tls_of(certificates, "beta"), is_listening=True)
    dialing.start()
    with pytest.raises(ProtocolError, match="the peer presents no certificate"):
        shake_hands(dialing, listening)


def test_older_versions_of_tls_are_refused(certificates: Path) -> None:
    old = tls_of(certificates, "alpha")
    old.dialing.minimum_version = ssl.TLSVersion.TLSv1_2
    old.dialing.maximum_version = ssl.TLSVersion.TLSv1_2
    dialing = TlsStream(old, is_listening=False)
    listening = TlsStream(tls_of(certificates, "beta"), is_listening=True)
    dialing.start()
    with pytest.raises(ProtocolError, match="TLS with the peer failed: UNSUPPORTED_PROTOCOL"):
        shake_hands(dialing, listening)


@pytest.mark.parametrize("said", [b"WALLAR\x00\x01" + b"n" * 32, b"GET / HTTP/1.1\r\n\r\n"])
def test_a_peer_without_tls_is_refused_with_the_reason(certificates: Path, said: bytes) -> None:
    listening = TlsStream(tls_of(certificates, "beta"), is_listening=True)
    listening.start()
    with pytest.raises(ProtocolError, match="the peer does not speak TLS"):
        listening.receive_data(said)
    assert listening.last_bytes() == ALERT


def test_files_that_cannot_be_used_are_named_with_their_option(
    certificates: Path, tmp_path: Path
) -> None:
    files = {name: str(certificates / name) for name in ("alpha.pem", "beta-key.pem", "ca.pem")}
    with pytest.raises(ConfigError, match=r"--tls-cert and --tls-key: .*KEY_VALUES_MISMATCH"):
        Tls(
            TlsFiles(
                certificate=files["alpha.pem"],
                key=files["beta-key.pem"],
                authority=files["ca.pem"],
            )
        )
    nothing = str(tmp_path / "nothing.pem")
    with pytest.raises(ConfigError, match=r"--tls-ca: .*nothing.pem cannot be read: No such file"):
        Tls(TlsFiles(certificate=nothing, key=nothing, authority=nothing))
