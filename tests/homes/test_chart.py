"""The Helm chart: which objects it makes of which values, and what it refuses."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.docs.pages import page
from tests.homes.helm import RefusedError, lint, render
from wallaroo_cli.run import check_chosen, options_chosen
from wallaroo_cli.run import main as run_command

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

CHECKPOINTS = "checkpoints.url=s3://checkpoints/counts"
NO_TCP = "sources=null"
VERSION = "1.33"


def named(objects: list[Any], kind: str, name: str) -> Any:
    (found,) = (
        each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name
    )
    return found


def arguments(workload: Any) -> list[str]:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return [str(each) for each in container["args"]]


def spec_of(objects: list[Any]) -> Any:
    """Return the spec of the Deployment of workers."""
    return named(objects, "Deployment", "counts-worker")["spec"]


def value_of(workload: Any, option: str) -> str:
    found = arguments(workload)
    return found[found.index(option) + 1]


def test_helm_finds_nothing_to_say() -> None:
    assert lint() == ""


VARIANTS = pytest.mark.parametrize(
    "settings",
    [
        (),
        (CHECKPOINTS,),
        (CHECKPOINTS, NO_TCP),
        (CHECKPOINTS, "checkpoints.interval=5", "workers.journals.storageClass=fast"),
        (CHECKPOINTS, NO_TCP, "autoscaling.enabled=true"),
        (CHECKPOINTS, "checkpoints.secret=store", "image.pullSecrets={registry}"),
        ("workers.kind=StatefulSet", "networkPolicy.monitoring[0].podSelector.matchLabels.a=b"),
        ("serviceAccount=words", "nodeSelector.disk=fast"),
        ("env[0].name=A", "env[0].value=b", "options={--debug,--no-metrics,--on-error,stop}"),
        ("sources[0].name=in,sources[0].port=7010,sources[1].name=more,sources[1].port=7011",),
    ],
)


@VARIANTS
def test_kubernetes_knows_every_field(settings: tuple[str, ...]) -> None:
    for each in render(*settings):
        kubernetes_validate.validate(each, VERSION, strict=True)


@VARIANTS
def test_wallaroo_run_takes_the_arguments_of_every_container(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    # The folder of the application has to be there.
    objects = render(*settings, f"application.folder={tmp_path}")
    workloads = [each for each in objects if each["kind"] in ("StatefulSet", "Deployment")]
    assert len(workloads) == 2
    for workload in workloads:
        context = run_command.make_context("wallaroo-run", arguments(workload))
        with context.scope():
            chosen = options_chosen(dict(context.params))
            check_chosen(chosen, [])
        options = chosen.application_arguments[::2]
        assert options == (("--out",) if NO_TCP in settings else ("--in", "--out"))


def test_a_field_that_is_misspelt_would_be_found() -> None:
    budget = named(render(), "PodDisruptionBudget", "counts-workers")
    budget["spec"]["maxUnavailabel"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(budget, VERSION, strict=True)


def test_tcp_sources_with_checkpoints_have_claims_for_their_journals() -> None:
    objects = render(CHECKPOINTS)
    workers = named(objects, "StatefulSet", "counts-worker")
    assert workers["spec"]["replicas"] == 3
    (claim,) = workers["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    # Journals may be needed after the pod has been scaled away.
    policy = workers["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenScaled": "Retain", "whenDeleted": "Retain"}
    assert value_of(workers, "--name") == "$(POD_NAME)"
    assert value_of(workers, "--in") == "0.0.0.0:7010"
    # What a node has not written is lost with it.
    initializer = named(objects, "StatefulSet", "counts-initializer")
    assert value_of(initializer, "--journal-sync") == "batch"


def test_sources_that_can_be_read_again_need_no_disks_and_have_a_standby() -> None:
    assert spec_of(render(CHECKPOINTS, NO_TCP))["replicas"] == 4
    objects = render(CHECKPOINTS, NO_TCP, "workers.standby=2")
    workers = named(objects, "Deployment", "counts-worker")
    assert workers["spec"]["replicas"] == 5
    assert "--name" not in arguments(workers)
    assert "--in" not in arguments(workers)
    initializer = named(objects, "StatefulSet", "counts-initializer")
    assert value_of(initializer, "--expect-workers") == "3"
    assert value_of(initializer, "--standby") == "2"
    assert "--take-over" in arguments(initializer)
    assert not [each for each in objects if each["metadata"]["name"] == "counts-source"]


def test_an_autoscaler_owns_the_number_of_workers() -> None:
    objects = render(CHECKPOINTS, NO_TCP, "autoscaling.enabled=true")
    # In an upgrade it is the number that the autoscaler has chosen, which the chart looks up.
    assert named(objects, "Deployment", "counts-worker")["spec"]["replicas"] == 4
    scaler = named(objects, "HorizontalPodAutoscaler", "counts-workers")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (4, 9)


def test_the_guide_shows_values_that_the_chart_accepts(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(page("kubernetes.md").labelled("file: words.yaml"))
    workers = named(render(values=path), "StatefulSet", "counts-worker")
    assert "words" in arguments(workers)


@pytest.mark.parametrize("release", ["counts", "other"])
def test_every_part_is_selected_by_its_own_labels_alone(release: str) -> None:
    objects = render(CHECKPOINTS, release=release)
    templates = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in objects
        if each["kind"] in ("StatefulSet", "Deployment")
    ]
    assert all(labels["app.kubernetes.io/instance"] == release for labels in templates)
    for service in (each for each in objects if each["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        assert sum(wanted <= labels.items() for labels in templates) == 1


def test_tcp_sources_have_no_host_that_stands_by_and_does_not_listen() -> None:
    assert spec_of(render())["replicas"] == 3


def test_prometheus_knows_an_application_by_its_release() -> None:
    objects = render("monitoring.enabled=true")
    monitor = named(objects, "PodMonitor", "counts")
    assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/instance"
    assert monitor["spec"]["podMetricsEndpoints"][0]["authorization"]["credentials"] == {
        "name": "wallaroo-cluster",
        "key": "secret",
    }
    (group,) = named(objects, "PrometheusRule", "counts")["spec"]["groups"]
    down = next(rule for rule in group["rules"] if rule["alert"] == "WallarooDown")
    assert down["expr"] == 'up{job="counts"} == 0 or absent(up{job="counts"})'


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("worker.count=2",), "additional properties 'worker' not allowed"),
        (("workers.count=0",), "/workers/count"),
        (("workers.kind=Job",), "/workers/kind"),
        (("sources[0].name=a,sources[0].port=7100",), "/sources/0/port"),
        (("checkpoints.url=/tmp/checkpoints",), "/checkpoints/url"),
        ((CHECKPOINTS, "workers.kind=Deployment"), "their journals would be lost with a node"),
        (("autoscaling.enabled=true,autoscaling.maxWorkers=2",), "less than workers.count"),
        (("workers.standby=1",), "a host that stands by does not listen"),
    ],
)
def test_wrong_values_are_refused(settings: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(RefusedError) as refused:
        render(*settings)
    assert sentence in str(refused.value)


def test_a_deployment_whose_input_may_be_lost_has_to_say_so() -> None:
    settings = (CHECKPOINTS, "workers.kind=Deployment", "options={--allow-lost-input}")
    workers = named(render(*settings), "Deployment", "counts-worker")
    assert "--allow-lost-input" in arguments(workers)
