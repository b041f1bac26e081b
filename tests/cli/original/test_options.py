"""The original's command line: who it is, what it says, what is left for the application."""

from pathlib import Path

import pytest

from wallaroo_cli.original.options import (
    FatalUserError,
    OriginalOptions,
    is_original,
    parse_original,
)

INITIALIZER = (
    "--application-module alphabet --in 127.0.0.1:20000 --out 127.0.0.1:35257 "
    "--metrics 127.0.0.1:38543 --name initializer --worker-count 2 --control 127.0.0.1:20001 "
    "--data 127.0.0.1:20002 --external 127.0.0.1:20003 --cluster-initializer --ponythreads=1 "
    "--ponypinasio --ponynoblock"
)
WORKER = (
    "--application-module alphabet --in 127.0.0.1:20000 --out 127.0.0.1:35257 "
    "--metrics 127.0.0.1:38543 --name worker1 --my-control 127.0.0.1:20004 "
    "--my-data 127.0.0.1:20005 --external 127.0.0.1:20006 --control 127.0.0.1:20001 "
    "--ponythreads=1 --ponypinasio --ponynoblock"
)
JOINER = (
    "--application-module alphabet --in 127.0.0.1:20000 --out 127.0.0.1:35257 "
    "--metrics 127.0.0.1:38543 --name worker2 --my-control 127.0.0.1:25000 "
    "--my-data 127.0.0.1:25001 --external 127.0.0.1:25002 --join 127.0.0.1:20001 "
    "--worker-count 3 --ponythreads=1"
)


def parse(line: str) -> OriginalOptions:
    return parse_original(line.split())


@pytest.mark.parametrize("line", [INITIALIZER, WORKER, JOINER])
def test_the_lines_of_scripts_are_the_originals(line: str) -> None:
    assert is_original(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "--application-module a --cluster-initializer",
        "--application-module a --my-control 127.0.0.1:1",
        "--application-module a --run-with-resilience",
        "--application-module a --ponythreads 1",
        "--application-module a --ponynoblock",
        "--application-module a --worker-count=3",
        "--application-module a --metrics 127.0.0.1:5001",
        "--application-module a --data=127.0.0.1:5001",
        "--application-module a -m 127.0.0.1:5001 -t",
        "--application-module a -m 127.0.0.1:5001 -d 127.0.0.1:5002",
        "--application-module a -x 127.0.0.1:5001 -y 127.0.0.1:5002",
    ],
)
def test_one_telling_option_is_enough_and_two_short_ones_are(line: str) -> None:
    assert is_original(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--application-module a --in 127.0.0.1:7010 --out 127.0.0.1:7002 --workers 4",
        "--application-module a --control 127.0.0.1:7010 --resilience-dir d",
        "--application-module a --data prices.csv",
        "--application-module a --metrics all",
        "--application-module a -t",
        "--application-module a -t -d prices.csv",
        "--application-module a -m 127.0.0.1:5001",
        "--application-module a --join 127.0.0.1:6000 --name w2",
        "--application-module a -- --cluster-initializer --worker-count 2",
    ],
)
def test_lines_of_our_own_are_not(line: str) -> None:
    assert not is_original(line.split())


def test_the_options_that_an_initializer_gets() -> None:
    options = parse(INITIALIZER)
    assert options.is_initializer
    assert options.application_module == "alphabet"
    assert options.worker_count == 2
    assert (options.control, options.data) == ("127.0.0.1:20001", "127.0.0.1:20002")
    assert options.external == "127.0.0.1:20003"
    assert (options.resilience_dir, options.is_durable) == ("", False)
    assert options.ignored == ("--metrics",)


def test_the_options_that_a_worker_gets() -> None:
    options = parse(WORKER)
    assert not options.is_initializer
    assert (options.name, options.control) == ("worker1", "127.0.0.1:20001")
    assert (options.my_control, options.my_data) == ("127.0.0.1:20004", "127.0.0.1:20005")


def test_the_options_that_a_joining_worker_gets() -> None:
    options = parse(JOINER)
    assert (options.name, options.join) == ("worker2", "127.0.0.1:20001")
    assert options.worker_count == 3


def test_the_application_gets_what_is_left_in_order() -> None:
    line = INITIALIZER.replace("alphabet", "alphabet --to-parallel --depth 3", 1)
    assert parse(line + " tail").application_arguments == (
        "--to-parallel", "--depth", "3", "--in", "127.0.0.1:20000", "--out", "127.0.0.1:35257",
        "tail",
    )  # fmt: skip


@pytest.mark.parametrize(
    "spelling", ["--worker-count 1_0", "--worker-count=10", "-w 10", "-w=1_0", "-w 1_0"]
)
def test_values_in_all_spellings(spelling: str) -> None:
    line = INITIALIZER.replace("--worker-count 2", spelling)
    assert parse(line).worker_count == 10


def test_short_forms_say_the_same() -> None:
    line = (
        "--application-module a -i 127.0.0.1:1 -o 127.0.0.1:2 -m 127.0.0.1:3 -c 127.0.0.1:4 "
        "-d 127.0.0.1:5 -e 127.0.0.1:6 -n x -w 3 -t -r . -l 1_000 -u 5 -f file"
    )
    options = parse(line)
    assert is_original(line.split())
    assert options == parse(
        "--application-module a -i 127.0.0.1:1 -o 127.0.0.1:2 --metrics 127.0.0.1:3 "
        "--control 127.0.0.1:4 --data 127.0.0.1:5 --external 127.0.0.1:6 --name x "
        "--worker-count 3 --cluster-initializer --resilience-dir . --event-log-file-size 1000 "
        "--stop-pause 5 --file file"
    )
    assert options.application_arguments == ("-i", "127.0.0.1:1", "-o", "127.0.0.1:2")


def test_a_worker_in_short_forms() -> None:
    options = parse("--application-module a -n w -x 1.1.1.1:1 -y 1.1.1.1:2 -j 1.1.1.1:3 -w 2")
    assert (options.my_control, options.my_data, options.join) == (
        "1.1.1.1:1", "1.1.1.1:2", "1.1.1.1:3",
    )  # fmt: skip


@pytest.mark.parametrize(
    "pony", ["--ponythreads 1", "--ponythreads=1", "--ponygcfactor 2", "--ponynoscale --ponypin"]
)
def test_options_of_the_pony_runtime_reach_nobody(pony: str) -> None:
    options = parse(f"{pony} {INITIALIZER} {pony}")
    assert options == parse(INITIALIZER)


def test_a_number_behind_an_option_that_takes_none_is_the_applications() -> None:
    assert parse(INITIALIZER + " 7").application_arguments[-1] == "7"


def test_times_are_nanoseconds() -> None:
    line = INITIALIZER + " --time-between-checkpoints 250_000_000"
    assert parse(line).checkpoint_interval_s == 0.25


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--cluster-initializer", "You must provide Machida with --application-module"),
        (
            INITIALIZER.replace("--worker-count 2", "--worker-count 0"),
            "--worker-count must be at least 1.",
        ),
        (INITIALIZER + " --resilience-dir ./", "--resilience-dir must not end in /"),
        (
            INITIALIZER + " --resilience-dir not/there",
            "Resilience directory: not/there doesn't exist",
        ),
        (
            INITIALIZER.replace("--data 127.0.0.1:20002", ""),
            "Cluster initializer needs its data channel address to be specified via --data.",
        ),
        (
            WORKER + " --worker-count 3",
            "Only supply --worker-count to cluster initializer or to joining worker.",
        ),
        (WORKER + " --data 127.0.0.1:9", "Only supply --data to cluster initializer."),
        (
            JOINER + " --cluster-initializer",
            "--cluster-initializer is an invalid command line argument when joining.  "
            "Joining worker cannot function as initializer.",
        ),
        (WORKER.replace("--name worker1", ""), "You must specify a worker name via --name/-n."),
        (
            WORKER.replace("--my-control 127.0.0.1:20004", ""),
            "Non-initializer nodes must specify --my-control and  --my-data flags",
        ),
        (
            JOINER.replace("--worker-count 3", "--worker-count 0"),
            "Joining worker must supply a worker count greater than 0.",
        ),
        (
            INITIALIZER.replace("--worker-count 2", "--worker-count two"),
            "--worker-count takes a whole number, not 'two'",
        ),
        (
            INITIALIZER.replace("127.0.0.1:20001", "20001"),
            "--control '20001' is not an address of the form host:port",
        ),
        (WORKER + " --name", "--name needs a value behind it"),
        (WORKER.replace("--name worker1", "--name a/b"), "--name 'a/b' cannot be part"),
    ],
)
def test_mistakes_are_told_in_the_originals_words(line: str, message: str) -> None:
    with pytest.raises(FatalUserError) as caught:
        parse(line)
    assert caught.value.what.startswith(message)
    assert caught.value.exit_code == 1


def test_a_folder_that_is_there_is_taken(tmp_path: Path) -> None:
    options = parse(f"{INITIALIZER} --run-with-resilience --resilience-dir {tmp_path}")
    assert (options.resilience_dir, options.is_durable) == (str(tmp_path), True)
