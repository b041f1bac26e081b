"""Wallaroo Streams: the names that an application imports."""

from wallaroo.api import aggregate
from wallaroo.api.addresses import tcp_parse_input_addrs, tcp_parse_output_addrs
from wallaroo.api.aggregations import Aggregation, aggregation
from wallaroo.api.builder import ApplicationBuilder, build_application
from wallaroo.api.codecs import (
    Decoder,
    Encoder,
    KeyExtractor,
    OctetDecoder,
    OctetEncoder,
    Partition,
    decoder,
    encoder,
    key_extractor,
    partition,
)
from wallaroo.api.computations import (
    Computation,
    ComputationMulti,
    computation,
    computation_multi,
)
from wallaroo.api.configs import (
    FileSinkConfig,
    FileSourceConfig,
    GenSourceConfig,
)
from wallaroo.api.decorated import BaseWrapped
from wallaroo.api.event_times import (
    SourceTimestamp,
    Time,
    Timestamp,
    event_time,
    ingest_time,
    source_time,
    timestamp,
)
from wallaroo.api.kafka_options import (
    CustomKafkaSinkCLIParser,
    CustomKafkaSourceCLIParser,
    DefaultKafkaSinkCLIParser,
    DefaultKafkaSourceCLIParser,
    kafka_parse_sink_options,
    kafka_parse_source_options,
)
from wallaroo.api.loggers import get_logger
from wallaroo.api.original import Unbuffered, attach_to_module, dt_to_timestamp
from wallaroo.api.payload_keys import PayloadKey, payload_key
from wallaroo.api.pipeline import Pipeline, WindowedPipeline, source
from wallaroo.api.resources import Resource, resource
from wallaroo.api.running import Cluster, RunOptions, RunResult, run, start
from wallaroo.api.serialization import deserialize, serialize
from wallaroo.api.source_keys import SourceKey, source_key
from wallaroo.api.state_computations import (
    OwnStateComputation,
    OwnStateComputationMulti,
    StateComputation,
    StateComputationMulti,
    state_computation,
    state_computation_multi,
)
from wallaroo.api.tcp_configs import TCPSinkConfig, TCPSourceConfig
from wallaroo.api.upgrades import StateUpgrade, upgrade_state
from wallaroo.api.waiting import (
    ComputationAsync,
    ComputationBatch,
    computation_async,
    computation_batch,
)
from wallaroo.api.window_classes import CountWindows, RangeWindows
from wallaroo.api.windows import (
    CountWindowsBuilder,
    RangeWindowsBuilder,
    WindowsBuilder,
    WindowStep,
    calendar,
    count_windows,
    ephemeral_windows,
    global_window,
    range_windows,
    session,
    sliding,
    tumbling,
)
from wallaroo.connectors.base import SinkConfig, SourceConfig
from wallaroo.connectors.sink_classes import OnceSink, Rejected, Sink, SinkError, TwoPhaseSink
from wallaroo.connectors.source_classes import (
    Batch,
    Delivery,
    PartitionedSource,
    PushedSource,
    Reader,
    SourceError,
)
from wallaroo.durations import (
    days,
    hours,
    microseconds,
    milliseconds,
    minutes,
    nanoseconds,
    seconds,
)
from wallaroo.errors import WallarooError, WallarooParameterError
from wallaroo.operators.context import Context
from wallaroo.operators.results import DELETE, Delete
from wallaroo.timing.window_spec import Result, Window
from wallaroo.topology.plan import Application

__version__ = "0.1.0"

_ARGS: tuple[str, ...] = ()
"""The whole command line of the run. It is there before the application is imported."""

__all__ = [
    "DELETE",
    "Aggregation",
    "Application",
    "ApplicationBuilder",
    "BaseWrapped",
    "Batch",
    "Cluster",
    "Computation",
    "ComputationAsync",
    "ComputationBatch",
    "ComputationMulti",
    "Context",
    "CountWindows",
    "CountWindowsBuilder",
    "CustomKafkaSinkCLIParser",
    "CustomKafkaSourceCLIParser",
    "Decoder",
    "DefaultKafkaSinkCLIParser",
    "DefaultKafkaSourceCLIParser",
    "Delete",
    "Delivery",
    "Encoder",
    "FileSinkConfig",
    "FileSourceConfig",
    "GenSourceConfig",
    "KeyExtractor",
    "OctetDecoder",
    "OctetEncoder",
    "OnceSink",
    "OwnStateComputation",
    "OwnStateComputationMulti",
    "Partition",
    "PartitionedSource",
    "PayloadKey",
    "Pipeline",
    "PushedSource",
    "RangeWindows",
    "RangeWindowsBuilder",
    "Reader",
    "Rejected",
    "Resource",
    "Result",
    "RunOptions",
    "RunResult",
    "Sink",
    "SinkConfig",
    "SinkError",
    "SourceConfig",
    "SourceError",
    "SourceKey",
    "SourceTimestamp",
    "StateComputation",
    "StateComputationMulti",
    "StateUpgrade",
    "TCPSinkConfig",
    "TCPSourceConfig",
    "Time",
    "Timestamp",
    "TwoPhaseSink",
    "Unbuffered",
    "WallarooError",
    "WallarooParameterError",
    "Window",
    "WindowStep",
    "WindowedPipeline",
    "WindowsBuilder",
    "__version__",
    "aggregate",
    "aggregation",
    "attach_to_module",
    "build_application",
    "calendar",
    "computation",
    "computation_async",
    "computation_batch",
    "computation_multi",
    "count_windows",
    "days",
    "decoder",
    "deserialize",
    "dt_to_timestamp",
    "encoder",
    "ephemeral_windows",
    "event_time",
    "get_logger",
    "global_window",
    "hours",
    "ingest_time",
    "kafka_parse_sink_options",
    "kafka_parse_source_options",
    "key_extractor",
    "microseconds",
    "milliseconds",
    "minutes",
    "nanoseconds",
    "partition",
    "payload_key",
    "range_windows",
    "resource",
    "run",
    "seconds",
    "serialize",
    "session",
    "sliding",
    "source",
    "source_key",
    "source_time",
    "start",
    "state_computation",
    "state_computation_multi",
    "tcp_parse_input_addrs",
    "tcp_parse_output_addrs",
    "timestamp",
    "tumbling",
    "upgrade_state",
]
