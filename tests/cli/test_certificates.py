"""Certificates for the hosts of a cluster, as files."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner, Result
from cryptography import x509

from wallaroo_cli.certificates import certificates


def make(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(certificates, [str(folder), *options])


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_each_host_gets_two_files_and_the_output_says_which_option_they_are_for(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "certs"
    made = make(folder, "--hosts", "alpha, 10.0.0.2,::1", "--days", "7")
    assert made.exit_code == 0
    line = "  alpha: --tls-cert alpha.pem --tls-key alpha-key.pem --tls-ca ca.pem"
    assert line in made.output.splitlines()
    stems = ["10.0.0.2", "__1", "alpha", "ca"]
    names = sorted(name for stem in stems for name in (f"{stem}.pem", f"{stem}-key.pem"))
    assert sorted(path.name for path in folder.iterdir()) == names
    for key in folder.glob("*-key.pem"):
        assert key.stat().st_mode & 0o777 == 0o600
    alpha, authority = read(folder / "alpha.pem"), read(folder / "ca.pem")
    alpha.verify_directly_issued_by(authority)
    left = alpha.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=6) < left <= timedelta(days=7)
    names_of = read(folder / "10.0.0.2.pem").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names_of.value.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.2")]


def test_an_authority_that_is_there_signs_for_more_hosts(tmp_path: Path) -> None:
    make(tmp_path, "--hosts", "alpha")
    before = (tmp_path / "ca.pem").read_bytes(), (tmp_path / "alpha.pem").read_bytes()
    assert make(tmp_path, "--hosts", "beta").exit_code == 0
    assert ((tmp_path / "ca.pem").read_bytes(), (tmp_path / "alpha.pem").read_bytes()) == before
    read(tmp_path / "beta.pem").verify_directly_issued_by(read(tmp_path / "ca.pem"))


def test_mistakes_are_told_in_a_sentence(tmp_path: Path) -> None:
    assert "--hosts is empty" in make(tmp_path, "--hosts", " , ").output
    assert "is not a host name" in make(tmp_path, "--hosts", "../alpha").output
    (tmp_path / "ca.pem").write_text("nonsense")
    (tmp_path / "ca-key.pem").write_text("nonsense")
    made = make(tmp_path, "--hosts", "alpha")
    assert made.exit_code == 2
    assert "cannot be read" in made.output
