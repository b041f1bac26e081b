"""What an application may import: these names stay, and all others may change at any time."""

import ast
import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import get_type_hints

import pytest

import wallaroo

PUBLIC: dict[str, set[str]] = {
    "wallaroo": {
        "Aggregation",
        "CountWindows",
        "CountWindowsBuilder",
        "RangeWindows",
        "RangeWindowsBuilder",
        "WindowsBuilder",
        "WindowStep",
        "WindowedPipeline",
        "calendar",
        "count_windows",
        "ephemeral_windows",
        "global_window",
        "range_windows",
        "session",
        "sliding",
        "tumbling",
        "Result",
        "Window",
        "Application",
        "ApplicationBuilder",
        "Batch",
        "Cluster",
        "Computation",
        "ComputationAsync",
        "ComputationBatch",
        "ComputationMulti",
        "Context",
        "DELETE",
        "Decoder",
        "Delete",
        "Delivery",
        "Encoder",
        "FileSinkConfig",
        "FileSourceConfig",
        "GenSourceConfig",
        "OnceSink",
        "Partition",
        "PartitionedSource",
        "PayloadKey",
        "PushedSource",
        "Reader",
        "Rejected",
        "Resource",
        "RunOptions",
        "RunResult",
        "Sink",
        "SinkConfig",
        "SinkError",
        "SourceConfig",
        "SourceKey",
        "SourceError",
        "SourceTimestamp",
        "Time",
        "Timestamp",
        "event_time",
        "ingest_time",
        "source_time",
        "timestamp",
        "StateComputation",
        "StateComputationMulti",
        "StateUpgrade",
        "TCPSinkConfig",
        "TCPSourceConfig",
        "TwoPhaseSink",
        "WallarooError",
        "WallarooParameterError",
        "BaseWrapped",
        "KeyExtractor",
        "OctetDecoder",
        "OctetEncoder",
        "Unbuffered",
        "CustomKafkaSinkCLIParser",
        "CustomKafkaSourceCLIParser",
        "DefaultKafkaSinkCLIParser",
        "DefaultKafkaSourceCLIParser",
        "kafka_parse_sink_options",
        "kafka_parse_source_options",
        "attach_to_module",
        "dt_to_timestamp",
        "key_extractor",
        "OwnStateComputation",
        "OwnStateComputationMulti",
        "Pipeline",
        "source",
        "build_application",
        "__version__",
        "aggregate",
        "aggregation",
        "computation",
        "computation_async",
        "computation_batch",
        "computation_multi",
        "decoder",
        "deserialize",
        "seconds",
        "nanoseconds",
        "minutes",
        "milliseconds",
        "microseconds",
        "hours",
        "days",
        "encoder",
        "get_logger",
        "partition",
        "payload_key",
        "resource",
        "run",
        "serialize",
        "source_key",
        "start",
        "state_computation",
        "state_computation_multi",
        "tcp_parse_input_addrs",
        "tcp_parse_output_addrs",
        "upgrade_state",
    },
    "wallaroo.testing": {
        "Advance",
        "AdvanceWall",
        "Record",
        "ALL_FAULTS",
        "Collected",
        "NO_FAULTS",
        "Faults",
        "SimulationError",
        "SimulationResult",
        "TestSink",
        "TestSource",
        "check_aggregation",
        "collect",
        "simulate",
    },
    "wallaroo.api.aggregate": {
        "collect",
        "count",
        "distinct",
        "first",
        "last",
        "max",
        "mean",
        "min",
        "quantiles",
        "several",
        "sum",
        "top",
    },
    "wallaroo.testing.kit": {"check_pushed_source", "check_sink", "check_source"},
    "wallaroo_pytest": {"ClusterStarter", "ClusterUnderTest", "wallaroo_cluster"},
    "wallaroo.errors": {
        "AlreadyExistsError",
        "ClusterError",
        "ConfigError",
        "DamagedFileError",
        "FencedError",
        "FramingError",
        "MissingObjectError",
        "OtherProtocolError",
        "OtherSecretError",
        "ProtocolError",
        "StateObjectError",
        "StoreError",
        "WallarooError",
        "WallarooParameterError",
    },
    "wallaroo_connectors.stdio": {"StdinSource", "StdoutSink"},
    # The original has its connectors in it. The module is added with its first name.
    "wallaroo.experimental": set(),
}
"""The whole public surface. A name that is added here is a promise to keep it."""


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_surface_is_the_list_above(module: str) -> None:
    if PUBLIC[module]:
        names = importlib.import_module(module).__all__
        assert len(names) == len({*names})
        assert {*names} == PUBLIC[module]
    else:
        assert importlib.util.find_spec(module) is None


def test_public_names_are_sorted() -> None:
    constants = [name for name in wallaroo.__all__ if name.isupper()]
    others = [name for name in wallaroo.__all__ if not name.isupper()]
    assert sorted(constants) + sorted(others) == wallaroo.__all__


@pytest.mark.parametrize("name", wallaroo.__all__)
def test_a_public_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    thing = getattr(wallaroo, name)
    if name != "__version__":
        is_only_value = type(thing).__module__.startswith("wallaroo.")
        assert (
            inspect.isclass(thing)
            or inspect.isfunction(thing)
            or inspect.ismodule(thing)
            or is_only_value
        )
        assert thing.__doc__
        assert inspect.cleandoc(thing.__doc__)


def test_what_is_imported_there_is_public() -> None:
    tree = ast.parse(Path(wallaroo.__file__).read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported | {"__version__"} == {*wallaroo.__all__}


def public_classes() -> list[type]:
    return [thing for name in wallaroo.__all__ if inspect.isclass(thing := getattr(wallaroo, name))]


def test_a_public_class_has_its_public_name() -> None:
    # Type checkers and tracebacks print the class's own name, which users must be able to find.
    assert [each for each in public_classes() if each.__name__ not in wallaroo.__all__] == []


def test_the_public_methods_of_public_classes_say_what_they_do() -> None:
    silent = [
        f"{each.__name__}.{name}"
        for each in public_classes()
        for name, method in inspect.getmembers(each, inspect.isfunction)
        if not name.startswith("_") and not inspect.getdoc(method)
    ]
    assert silent == []


def test_the_annotations_of_public_methods_can_be_read_when_they_run() -> None:
    methods = [
        method
        for each in public_classes()
        for name, method in inspect.getmembers(each, inspect.isfunction)
        if method.__module__.startswith("wallaroo.") and not name.startswith("_")
    ]
    assert len(methods) > 20
    for method in methods:
        assert "return" in get_type_hints(method)


IMPORTS_WHEN_CALLED = {
    "wallaroo/__main__.py",
    "wallaroo/api/kafka_options.py",
    "wallaroo/api/running.py",
    "wallaroo/testing/kit.py",
}


def test_few_modules_import_what_acts_when_they_are_called() -> None:
    root = Path(wallaroo.__file__).parent
    found = {
        f"wallaroo/{path.relative_to(root)}"
        for path in root.rglob("*.py")
        if re.search(r"import_module\(f?\"wallaroo_", path.read_text())
    }
    assert found == IMPORTS_WHEN_CALLED
