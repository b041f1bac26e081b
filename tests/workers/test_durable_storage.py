"""What a worker keeps beyond its own life, as its settings name it."""

from pathlib import Path

from wallaroo.checkpoint.patience import PatientStore
from wallaroo_workers.durable_storage import open_durable
from wallaroo_workers.settings import ApplicationSettings, RunOptions, WorkerSettings


def settings(**options: str | float) -> WorkerSettings:
    return WorkerSettings(
        name="w1",
        incarnation=1,
        control_host="127.0.0.1",
        control_port=1,
        secret=b"",
        application=ApplicationSettings(module="counts", paths=[], arguments=[]),
        options=RunOptions(**options),  # type: ignore[arg-type]
    )


def test_without_checkpoints_there_is_nothing() -> None:
    assert open_durable(settings()) is None


def test_only_what_a_worker_goes_back_to_is_waited_for(tmp_path: Path) -> None:
    durable = open_durable(
        settings(resilience="memory://", journal_folder=str(tmp_path), store_timeout_s=7.0)
    )
    assert durable is not None
    assert isinstance(durable.manifests.store, PatientStore)
    assert durable.manifests.store.timeout_s == 7.0
    # A part that cannot be written fails its checkpoint, and the next one has its keys.
    assert not isinstance(durable.store, PatientStore)
