"""Options for several hosts: which belong together, and what is refused before anything starts."""

from pathlib import Path

import pytest

from wallaroo.errors import ConfigError
from wallaroo_cli.host_options import (
    HostOptions,
    advertised,
    agent_label,
    check_together,
    checked_secret,
)
from wallaroo_cli.page_options import check_page, page_settings
from wallaroo_workers.dashboard.settings import DEFAULT_ADDRESS, DashboardSettings

NOTHING = {
    "join": None,
    "name": None,
    "zone": None,
    "expect_workers": 0,
    "standby": None,
    "grow_with_hosts": False,
    "homes_fd": None,
    "agent_timeout_s": 60.0,
    "rejoin_s": 0.0,
    "bind_host": None,
    "advertise_host": None,
    "secret_file": None,
    "tls_cert": None,
    "tls_key": None,
    "tls_ca": None,
}
LOOPBACK = "127.0.0.1:0"


def test_the_page_is_shown_to_other_hosts_with_secret_and_tls_only() -> None:
    everywhere = DashboardSettings(address="0.0.0.0:4000")
    check_page(None, has_secret=False, has_tls=False)
    check_page(DashboardSettings(), has_secret=False, has_tls=False)
    check_page(everywhere, has_secret=True, has_tls=True)
    with pytest.raises(
        ConfigError, match=r"--dashboard makes this host reachable.*--tls-cert"
    ) as one:
        check_page(everywhere, has_secret=True, has_tls=False)
    assert "ssh -L" in one.value.hint


def options(**values: object) -> HostOptions:
    return HostOptions.taken_from({**NOTHING, **values})


def chosen_page(address: str | None, *names: str, off: bool = False) -> DashboardSettings | None:
    values = {"dashboard_address": address, "dashboard_names": names, "no_dashboard": off}
    return page_settings(values)


def test_the_page_has_a_port_of_its_own_unless_an_option_says_otherwise() -> None:
    assert chosen_page(None) == DashboardSettings(address=DEFAULT_ADDRESS)
    assert chosen_page("127.0.0.1:0", "a") == DashboardSettings(address="127.0.0.1:0", names=("a",))
    assert chosen_page(None, off=True) is None


@pytest.mark.parametrize(("address", "names"), [(DEFAULT_ADDRESS, ()), (None, ("other",))])
def test_no_page_goes_with_no_option_about_it(address: str | None, names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="--no-dashboard turns the page off"):
        chosen_page(address, *names, off=True)


def test_options_are_taken_out_of_all_that_a_command_was_given() -> None:
    values = {**NOTHING, "join": "alpha:7100", "debug": True}
    assert HostOptions.taken_from(values).join == "alpha:7100"
    assert values == {"debug": True}


@pytest.mark.parametrize(
    ("values", "worker_count", "told"),
    [
        ({}, 0, "--workers 0 leaves no worker"),
        ({"name": "w5"}, 1, "--name, --zone and --rejoin are for a worker that joins"),
        ({"rejoin_s": 5.0}, 1, "--name, --zone and --rejoin are for a worker that joins"),
        ({"join": "alpha:1", "expect_workers": 2}, None, "--join starts a worker"),
        ({"join": "alpha:1"}, 2, "--join runs one worker"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_together_are_refused(
    values: dict[str, object], worker_count: int | None, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        check_together(options(**values), worker_count)


def test_options_that_belong_together_are_taken() -> None:
    check_together(options(), 1)
    check_together(options(expect_workers=3), 0)
    check_together(options(join="alpha:1", name="w5", rejoin_s=5.0), None)


def test_tls_needs_all_three_files() -> None:
    assert options().tls_files is None
    with pytest.raises(ConfigError, match="missing: --tls-key and --tls-ca"):
        _ = options(tls_cert="alpha.pem").tls_files
    files = options(tls_cert="a.pem", tls_key="k.pem", tls_ca="ca.pem").tls_files
    assert files is not None
    assert files.authority == str(Path.cwd() / "ca.pem")


@pytest.mark.parametrize(
    ("values", "control", "option"),
    [
        ({}, "0.0.0.0:7100", "--control"),
        ({"bind_host": "10.0.0.1"}, LOOPBACK, "--bind"),
        ({"join": "10.0.0.1:7100"}, LOOPBACK, "--join"),
    ],
)
def test_whatever_leads_out_of_this_host_needs_secret_and_tls(
    values: dict[str, object], control: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WALLAROO_SECRET", "sixteen bytes or more")
    with pytest.raises(ConfigError, match=f"{option} makes this host reachable .*--tls-cert"):
        checked_secret(options(**values), control)
    tls = {"tls_cert": "a.pem", "tls_key": "k.pem", "tls_ca": "ca.pem"}
    with pytest.raises(ConfigError, match=f"{option} makes this host reachable .*--secret-file"):
        checked_secret(options(**values, **tls), control)
    monkeypatch.setenv("WALLAROO_SECRET", "sixteen bytes or more")
    assert checked_secret(options(**values, **tls), control) == b"sixteen bytes or more"


def test_workers_at_all_addresses_need_one_to_tell_others() -> None:
    with pytest.raises(ConfigError, match="other workers would not know which to dial"):
        advertised(options(), "0.0.0.0:7100", 1)
    assert advertised(options(), "0.0.0.0:7100", 0) == ""
    assert advertised(options(), LOOPBACK, 1) == ""
    assert advertised(options(advertise_host="alpha"), "0.0.0.0:7100", 1) == "alpha"
    assert advertised(options(bind_host="10.0.0.1"), "0.0.0.0:7100", 1) == ""


def test_a_worker_is_named_after_its_host_unless_an_option_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "host with spaces")
    assert agent_label(options(join="alpha:1")) == "host-with-spaces"
    assert agent_label(options(join="alpha:1", name="w5")) == "w5"
