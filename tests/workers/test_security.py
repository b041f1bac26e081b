"""Where a secret comes from, which are refused, and when there has to be one."""

import re
from pathlib import Path

import pytest

from wallaroo.errors import ConfigError
from wallaroo_workers.security import (
    SECRET_BYTES_MAX,
    SECRET_VARIABLE,
    check_exposure,
    is_loopback,
    is_wildcard,
    load_secret,
)

SECRET = "sixteen bytes it"


@pytest.fixture(autouse=True)
def no_secret_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)


def written(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_secret_is_read_from_a_file_without_the_white_space_round_it(tmp_path: Path) -> None:
    assert load_secret(written(tmp_path, f"  {SECRET}\n")) == SECRET.encode()
    assert load_secret(written(tmp_path, SECRET, 0o640)) == SECRET.encode()


def test_a_secret_is_read_from_the_environment_and_does_not_stay_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_secret(None) is None
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    assert load_secret(None) == SECRET.encode()
    assert load_secret(None) is None


def test_a_file_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "another one of sixteen")
    assert load_secret(written(tmp_path, SECRET)) == SECRET.encode()
    assert load_secret(None) is None


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_a_file_that_everybody_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="readable for every user") as refused:
        load_secret(written(tmp_path, SECRET, mode))
    assert "chmod 600" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SECRET[:-1] + "\n", "has 15 bytes; it needs 16"),
        ("", "has 0 bytes"),
        ("x" * (SECRET_BYTES_MAX + 1), "is longer than 4096 bytes"),
    ],
    ids=["short", "empty", "long"],
)
def test_a_file_that_does_not_hold_a_secret_is_refused(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        load_secret(written(tmp_path, text))


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--secret-file: .* cannot be read: No such file"):
        load_secret(str(tmp_path / "nothing"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert is_loopback(host)
    check_exposure("--control", host, has_secret=False, has_tls=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "no.such.host.invalid"])
def test_off_loopback_secret_and_tls_are_demanded(host: str) -> None:
    check_exposure("--control", host, has_secret=True, has_tls=True)
    for has_secret, has_tls, told in [
        (False, False, "--secret-file .* and --tls-cert"),
        (False, True, r"without --secret-file \(or WALLAROO_SECRET\)$"),
        (True, False, "without --tls-cert, --tls-key and --tls-ca$"),
    ]:
        with pytest.raises(ConfigError) as error:
            check_exposure("--control", host, has_secret=has_secret, has_tls=has_tls)
        assert re.search(f"--control makes this host .*{told}", error.value.what)
        assert "wallaroo-cluster certificates" in error.value.hint


@pytest.mark.parametrize(
    ("host", "is_so"),
    [("0.0.0.0", True), ("::", True), ("127.0.0.1", False), ("localhost", False)],
)
def test_hosts_that_mean_all_addresses_are_known(host: str, is_so: bool) -> None:
    assert is_wildcard(host) is is_so
