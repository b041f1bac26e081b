from pathlib import Path

import pytest

from tests.cli.loopback import Sink
from wallaroo.errors import ConfigError
from wallaroo_cli.tools.addresses import Address, parse_addresses
from wallaroo_cli.tools.blocks import FramedBlock
from wallaroo_cli.tools.display import Display
from wallaroo_cli.tools.messages import Messages
from wallaroo_cli.tools.pacing import Pace
from wallaroo_cli.tools.sender import Feed, Sender, SenderConfig


def framed(numbers: range) -> bytes:
    return bytes(FramedBlock([b"%d" % number for number in numbers]).wire())


def send(sinks: list[Sink], messages: Messages, pace: Pace, log_path: str | None = None) -> Sender:
    addresses = parse_addresses([sink.address for sink in sinks], "--host")
    config = SenderConfig(addresses=addresses, messages=messages, pace=pace, log_path=log_path)
    sender = Sender(config, Display("sending"))
    sender.run()
    return sender


@pytest.mark.parametrize(
    "pace",
    [Pace(), Pace(rate=1e6), Pace(interval_s=1e-6, batch_size=7), Pace(rate=1e6, vary_by=9)],
)
def test_every_pace_sends_every_message_in_order(pace: Pace) -> None:
    with Sink() as sink:
        sender = send([sink], Messages(count=5000), pace)
    assert sink.received[0] == framed(range(1, 5001))
    totals = sender.totals()
    assert (totals.message_count, totals.byte_count) == (5000, len(sink.received[0]))


@pytest.mark.parametrize("pace", [Pace(), Pace(rate=1e7, batch_size=7)])
def test_messages_are_dealt_to_the_hosts_in_turn(pace: Pace) -> None:
    with Sink() as first, Sink() as second, Sink() as third:
        send([first, second, third], Messages(count=50_000), pace)
    for index, sink in enumerate([first, second, third]):
        assert sink.received[0] == framed(range(index + 1, 50_001, 3))


def test_records_of_one_size_are_dealt_across_the_ends_of_files(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_bytes(b"aabbcc")
    messages = Messages(files=(str(path),), is_binary=True, size=2, is_repeated=True, count=7)
    with Sink() as first, Sink() as second:
        send([first, second], messages, Pace())
    assert bytes(first.received[0]) == b"aaccbbaa"
    assert bytes(second.received[0]) == b"bbaacc"


def test_a_schedule_is_kept() -> None:
    with Sink() as sink:
        sender = send([sink], Messages(count=40), Pace(rate=200, batch_size=4))
    assert 0.18 <= sender.totals().seconds < 5, "the last of ten batches is due after 9 * 20 ms"


def test_each_message_is_noted_with_the_time_it_was_sent(tmp_path: Path) -> None:
    log = tmp_path / "sent.txt"
    with Sink() as sink:
        send([sink], Messages(count=3), Pace(), log_path=str(log))
    stamps, payloads = zip(
        *(line.split(", ") for line in log.read_text().splitlines()), strict=True
    )
    assert payloads == ("1", "2", "3")
    assert all(int(stamp) > 1_600_000_000 * 10**9 for stamp in stamps)


def test_files_that_end_early_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "words"
    path.write_text("a\nb\n")
    with Sink() as sink:
        send([sink], Messages(files=(str(path),), count=5), Pace())
    assert "hold only 2 of 5 messages" in capsys.readouterr().err


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        SenderConfig(
            addresses=(Address("a", 0),), messages=Messages(), pace=Pace(rate=1, interval_s=1)
        )
    assert len(caught.value.what.splitlines()) == 3


def test_a_log_that_cannot_be_written_is_told_before_anything_is_sent() -> None:
    config = SenderConfig(
        addresses=(Address("127.0.0.1", 1),),
        messages=Messages(count=1),
        pace=Pace(),
        log_path="/no/such/folder/sent.txt",
    )
    with pytest.raises(ConfigError, match="cannot write --write"):
        Sender(config, Display("sending")).run()


def test_a_feed_gives_no_more_than_is_asked_for_and_ends_at_its_count() -> None:
    blocks = iter([FramedBlock([b"a", b"b", b"c"]), FramedBlock([b"d", b"e"])])
    feed = Feed(blocks, 4)
    assert [len(feed.take(2)), len(feed.take(2)), len(feed.take())] == [2, 1, 1]
    assert not feed.has_more()
