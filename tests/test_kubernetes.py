"""deploy/kubernetes: what Kubernetes accepts, in numbers that agree with the service's own settings.

It is validated by the published schemas of Kubernetes, and was never on a cluster. Of the kinds that others
define (ServiceMonitor, ServingRuntime, InferenceService, RayService) no schema is at hand; the pods in a
RayService are Kubernetes' own.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
import yaml
from kubernetes_validate import ValidationError, validate
from torch.distributed.run import get_args_parser

from service.__main__ import cli
from service.serving.watchdog import GRACE_S
from service.settings import Settings, read_settings
from tests.conftest import ROOT
from training.pictures.picture_command import cli as training_cli

HERE = ROOT / "deploy" / "kubernetes"
BUILDS = ("base", "overlays/gpu", "overlays/canary", "overlays/ray", "monitoring", "kserve", "training")
OURS = ("v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1")
VERSIONS = ("1.31", "1.37")  # the oldest and the newest that are validated for
GRACE_MARGIN_S = 5  # for what is left to do when the last request is answered

Resource = dict[str, Any]

pytestmark = pytest.mark.skipif(
    not shutil.which("kubectl"), reason="kubectl, which has kustomize, is not installed"
)


@cache
def built(build: str) -> tuple[Resource, ...]:
    command = ["kubectl", "kustomize", str(HERE / build)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(build: str, kind: str) -> Resource:
    (found,) = (resource for resource in built(build) if resource["kind"] == kind)
    return found


def pod_of(build: str) -> Resource:
    if build == "kserve":
        return dict(of_kind(build, "ServingRuntime")["spec"])
    return dict(of_kind(build, "Deployment")["spec"]["template"]["spec"])


def pods(build: str) -> Iterator[Resource]:
    for resource in built(build):
        if resource["kind"] in ("Deployment", "Job"):
            yield resource["spec"]["template"]["spec"]
        elif resource["kind"] == "ServingRuntime":
            yield resource["spec"]
        elif resource["kind"] == "RayService":
            yield from (template["spec"] for template in templates(resource))


def templates(ray_service: Resource) -> list[Resource]:
    """Of its pods: the head's first."""
    cluster = ray_service["spec"]["rayClusterConfig"]
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def container_of(build: str) -> Resource:
    (container,) = pod_of(build)["containers"]
    return dict(container)


def settings_of(build: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As the service reads them: the image's environment, the container's, and its arguments."""
    (image,) = re.findall(r"^ENV (SERVICE_.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    container = container_of(build)
    own = {entry["name"]: entry["value"] for entry in container.get("env", [])}
    for name, value in (dict(pair.split("=") for pair in image.split()) | own).items():
        assert name.removeprefix("SERVICE_").lower() in Settings.model_fields
        monkeypatch.setenv(name, value)
    context = typer.main.get_command(cli).make_context("service", [*container["args"]])
    return read_settings(
        **{
            name: value
            for name, value in context.params.items()
            if value is not None and name in Settings.model_fields
        }
    )


RUNNING = pytest.mark.parametrize("build", ["base", "overlays/gpu", "overlays/canary", "kserve"])


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_it(version: str) -> None:
    resources: list[Resource] = []
    for build in BUILDS:
        resources += [resource for resource in built(build) if resource not in resources]
    validated = [resource for resource in resources if resource["apiVersion"] in OURS]
    for resource in validated:
        validate(resource, version, strict=True)
    others = {resource["kind"] for resource in resources if resource not in validated}
    assert others == {"ServiceMonitor", "ServingRuntime", "InferenceService", "RayService"}
    for template in templates(of_kind("overlays/ray", "RayService")):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "abacus"}}
        validate(pod | {"template": template}, version, strict=True)


def test_the_control_a_field_that_there_is_not_is_refused() -> None:
    deployment = of_kind("base", "Deployment")
    with pytest.raises(ValidationError):
        validate(deployment | {"spec": deployment["spec"] | {"replica": 3}}, VERSIONS[-1], strict=True)


@RUNNING
def test_a_pod_has_the_time_that_a_stop_takes(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(build, monkeypatch)
    spec = of_kind(build, "InferenceService")["spec"]["predictor"] if build == "kserve" else pod_of(build)
    assert spec["terminationGracePeriodSeconds"] >= settings.drain_s + settings.stop_s + GRACE_MARGIN_S
    readiness = container_of(build)["readinessProbe"]
    assert settings.drain_s > readiness["periodSeconds"] * readiness["failureThreshold"]
    assert "lifecycle" not in container_of(build)  # --drain-s is what a preStop hook would sleep for


@RUNNING
def test_it_listens_where_it_is_asked_and_reads_what_is_mounted(
    build: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, container = settings_of(build, monkeypatch), container_of(build)
    (port,) = container["ports"]
    assert (settings.host, settings.port) == ("0.0.0.0", port["containerPort"])
    probes = [container[name]["httpGet"] for name in container if name.endswith("Probe")]
    assert {probe["port"] for probe in probes} <= {port["name"], port["containerPort"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    if build == "kserve":
        assert str(settings.artifacts) == "/mnt/models"  # where KServe mounts a storageUri
    else:
        assert mounts[str(settings.artifacts)]["readOnly"]
    assert "/tmp" in mounts
    assert settings.device == ("cuda" if build == "overlays/gpu" else "cpu")


@RUNNING
def test_what_its_probes_ask_is_there(build: str, committed_server: httpx.Client) -> None:
    container = container_of(build)
    probes = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    for path in probes.values():
        assert committed_server.get(path).status_code == 200
    assert probes["readinessProbe"].endswith("/ready")
    assert probes["livenessProbe"].endswith("/live")
    # The process ends itself, and says why, before it is ended from outside.
    liveness = container["livenessProbe"]
    assert liveness["periodSeconds"] * (liveness["failureThreshold"] - 1) > GRACE_S


@pytest.mark.parametrize("build", BUILDS)
def test_pods_are_restricted(build: str) -> None:
    """As Pod Security's level of that name asks."""
    for spec in pods(build):
        for container in spec["containers"]:
            security = {**spec.get("securityContext", {}), **container["securityContext"]}
            assert security["runAsNonRoot"]
            assert f"--uid {security['runAsUser']} " in (ROOT / "Dockerfile").read_text(encoding="utf-8")
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"]
    if build == "base":
        labels = of_kind(build, "Namespace")["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_selectors_find_the_pods_of_base_and_of_the_canary() -> None:
    labels = [
        of_kind(build, "Deployment")["spec"]["template"]["metadata"]["labels"]
        for build in ("base", "overlays/canary")
    ]
    for pod in labels:
        for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            spec = of_kind("base", kind)["spec"]
            selector: Resource = spec["podSelector" if kind == "NetworkPolicy" else "selector"]
            wanted = selector.get("matchLabels", selector)
            assert wanted.items() <= pod.items(), kind
    selectors = [
        of_kind(build, "Deployment")["spec"]["selector"]["matchLabels"]
        for build in ("base", "overlays/canary")
    ]
    assert [[s.items() <= pod.items() for pod in labels] for s in selectors] == [
        [True, False],
        [False, True],
    ]
    (job,) = (r for r in built("base") if r["kind"] == "Job")
    assert (
        not of_kind("base", "Service")["spec"]["selector"].items()
        <= job["spec"]["template"]["metadata"]["labels"].items()
    )


def test_the_job_copies_whole_models_that_are_not_there(tmp_path: Path) -> None:
    (job,) = (resource for resource in built("base") if resource["kind"] == "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    image, store = tmp_path / "image", tmp_path / "volume"
    for name in ("digit", "pass"):
        (image / name / "1").mkdir(parents=True)
        (image / name / "current").write_text("1")
    (store / "pass").mkdir(parents=True)
    (store / "pass" / "current").write_text("7")  # that is somebody's own
    (store / ".digit").mkdir()  # what a Job left that was interrupted
    script = container["args"][0].replace("/artifacts/", f"{image}/").replace("/store/", f"{store}/")
    for _ in range(2):
        subprocess.run([*container["command"], script], check=True)
        found = {str(path.relative_to(store)) for path in store.rglob("*")}
        assert found == {"digit", "digit/1", "digit/current", "pass", "pass/current"}
        assert (store / "pass" / "current").read_text() == "7"


def test_pods_of_a_training_meet_and_publish_where_the_others_read() -> None:
    job, service = of_kind("training", "Job"), of_kind("training", "Service")
    template = job["spec"]["template"]
    (container,) = template["spec"]["containers"]
    launch = get_args_parser().parse_args([re.sub(r"\$\((\w+)\)", "1", word) for word in container["args"]])
    assert container["command"] == ["torchrun"]
    assert "$(NODE_RANK)" in " ".join(container["args"])
    assert [entry["name"] for entry in container["env"]] == ["NODE_RANK", "OMP_NUM_THREADS"]
    nodes = int(launch.nnodes)
    assert (job["spec"]["completionMode"], nodes) == ("Indexed", job["spec"]["completions"])
    assert nodes == job["spec"]["parallelism"]
    # A pod of an indexed Job is called by the Job's name and its own number.
    assert launch.master_addr == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert template["spec"]["subdomain"] == service["metadata"]["name"]
    assert [port["containerPort"] for port in container["ports"]] == [launch.master_port]
    for selector in (
        service["spec"]["selector"],
        of_kind("training", "NetworkPolicy")["spec"]["podSelector"],
    ):
        assert selector.get("matchLabels", selector) == template["metadata"]["labels"]
    assert (launch.module, launch.training_script) == (True, "training")
    command, *options = launch.training_script_args
    assert command == "picture"
    picture = typer.main.get_command(training_cli).make_context("picture", options)
    assert picture.params["resume_if_any"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    (image,) = re.findall(r"^ENV (TRAINING_.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    places = [pair.split("=")[1] for pair in image.split()] + [str(picture.params["data"])]
    assert all(any(place.startswith(mount) for mount in mounts) for place in places)
    claims = [v["persistentVolumeClaim"]["claimName"] for v in template["spec"]["volumes"][:2]]
    assert claims[0] == of_kind("base", "PersistentVolumeClaim")["metadata"]["name"]
    assert claims[1] == of_kind("training", "PersistentVolumeClaim")["metadata"]["name"]


@pytest.mark.parametrize("build", BUILDS)
def test_all_of_it_is_in_one_namespace(build: str) -> None:
    namespaces = {r["metadata"].get("namespace") for r in built(build) if r["kind"] != "Namespace"}
    assert namespaces == {"abacus"}


def test_names_that_one_file_has_of_another(committed_server: httpx.Client) -> None:
    service, autoscaler = of_kind("base", "Service"), of_kind("base", "HorizontalPodAutoscaler")["spec"]
    claim = of_kind("base", "PersistentVolumeClaim")["metadata"]["name"]
    for build in ("base", "overlays/canary"):
        claims = [
            v["persistentVolumeClaim"]["claimName"]
            for v in pod_of(build)["volumes"]
            if "persistentVolumeClaim" in v
        ]
        assert claims == [claim]
    assert (
        of_kind("kserve", "InferenceService")["spec"]["predictor"]["model"]["storageUri"]
        == f"pvc://{claim}"
    )
    assert autoscaler["scaleTargetRef"]["name"] == of_kind("base", "Deployment")["metadata"]["name"]
    assert "replicas" not in of_kind("base", "Deployment")["spec"]
    metric = autoscaler["metrics"][0]["pods"]["metric"]["name"]
    assert f"# TYPE {metric} gauge" in committed_server.get("/metrics").text
    (rule,) = yaml.safe_load((HERE / "monitoring" / "adapter.yaml").read_text(encoding="utf-8"))["rules"]
    assert rule["seriesQuery"].startswith(metric + "{")
    monitor = of_kind("monitoring", "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert committed_server.get(endpoint["path"]).status_code == 200
    # The operator calls a job by its Service.
    assert f'job="{service["metadata"]["name"]}"' in (ROOT / "deploy" / "alerts.yml").read_text(
        encoding="utf-8"
    )
