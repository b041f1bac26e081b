import socket

import pytest

from wallaroo.errors import ClusterError, ConfigError
from wallaroo_cli.tools.addresses import Address
from wallaroo_cli.tools.display import Display
from wallaroo_cli.tools.receiver import Receiver, ReceiverConfig

ADDRESS = Address("127.0.0.1", 0)


@pytest.mark.parametrize(
    "config",
    [
        {"is_framed": True, "is_raw": True},
        {"is_written": False, "output_path": "x"},
        {"timeout_s": 1.0},
    ],
)
def test_settings_that_contradict_each_other_are_reported(
    config: dict[str, bool | str | float],
) -> None:
    with pytest.raises(ConfigError):
        ReceiverConfig(address=ADDRESS, **config)  # type: ignore[arg-type]  # one of each kind


def test_a_receiver_that_is_stopped_before_it_runs_ends_at_once() -> None:
    receiver = Receiver(ReceiverConfig(address=ADDRESS), Display("receiving"))
    receiver.stop()
    receiver.run()
    receiver.check()
    receiver.stop()


def test_a_port_in_use_is_told_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
        receiver = Receiver(ReceiverConfig(address=address), Display("receiving"))
        with pytest.raises(ClusterError, match=f"cannot listen on {address}") as caught:
            receiver.run()
    assert "choose another port" in caught.value.hint


def test_too_few_messages_in_time_are_told_by_number() -> None:
    config = ReceiverConfig(address=ADDRESS, expected_count=3, timeout_s=0.01)
    receiver = Receiver(config, Display("receiving"))
    receiver.run()
    with pytest.raises(ClusterError, match=r"3 messages were expected, 0 arrived within 0\.01 s"):
        receiver.check()
