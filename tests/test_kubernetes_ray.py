"""deploy/kubernetes/overlays/ray: the same as deploy/ray, in pods that fit it; never on a cluster."""

from typing import Any

import pytest
import yaml
from kubernetes_validate import ValidationError, validate

from service.settings import Settings
from tests.conftest import ROOT
from tests.reliability.cluster import variables
from tests.test_kubernetes import VERSIONS, built, of_kind, pytestmark, templates

__all__ = ["pytestmark"]  # without kubectl there is nothing to look at

OVERLAY = "overlays/ray"
WORKDIR = "/app"


def cluster() -> dict[str, Any]:
    return dict(of_kind(OVERLAY, "RayService")["spec"]["rayClusterConfig"])


def served() -> dict[str, Any]:
    """What Serve is told."""
    return dict(yaml.safe_load(of_kind(OVERLAY, "RayService")["spec"]["serveConfigV2"]))


def test_serve_is_told_what_serve_yaml_has() -> None:
    here, there = served(), yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text())
    arguments = here["applications"][0].pop("args")
    there["applications"][0].pop("args")
    assert here == there
    Settings(**arguments)
    (mount,) = {
        m["mountPath"] for t in templates(of_kind(OVERLAY, "RayService")) for m in mounts(t, "models")
    }
    assert arguments["artifacts"] == mount


def test_every_node_has_the_variables_of_serve_env() -> None:
    wanted = {name: value.replace(str(ROOT), WORKDIR) for name, value in variables().items()}
    assert f"\nWORKDIR {WORKDIR}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for template in templates(of_kind(OVERLAY, "RayService")):
        (container,) = template["spec"]["containers"]
        has = {entry["name"]: entry["value"] for entry in container["env"]}
        assert wanted.items() <= has.items()
        assert container["image"] == "abacus:ray"


def test_there_is_room_for_the_successor_of_a_replica() -> None:
    (application,) = served()["applications"]
    (deployment,) = application["deployments"]
    (group,) = cluster()["workerGroupSpecs"]
    assert cluster()["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    each = min(
        float(group["rayStartParams"]["num-cpus"]) // deployment["ray_actor_options"]["num_cpus"],
        deployment["max_replicas_per_node"],
    )
    assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]
    # While a pod is away, too: the budget lets one go.
    assert of_kind(OVERLAY, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert (group["replicas"] - 1) * each >= deployment["num_replicas"] + 1
    (container,) = group["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["cpu"] == group["rayStartParams"]["num-cpus"]


def test_ports_that_run_code_are_for_the_cluster_and_its_operator() -> None:
    policy = of_kind(OVERLAY, "NetworkPolicy")["spec"]
    pods = policy["podSelector"]["matchLabels"]
    for template in templates(of_kind(OVERLAY, "RayService")):
        assert pods.items() <= template["metadata"]["labels"].items()
    among, *others = policy["ingress"]
    assert among == {"from": [{"podSelector": {"matchLabels": pods}}]}
    allowed = {port["port"] for rule in others for port in rule["ports"]}
    assert allowed == {"dashboard", 52365, "serve", "metrics"}
    (operator,) = (rule for rule in others if {"port": "dashboard"} in rule["ports"])
    (source,) = operator["from"]
    assert source["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "kuberay-operator"}
    (head, worker) = templates(of_kind(OVERLAY, "RayService"))
    named = {port["name"]: port["containerPort"] for port in head["spec"]["containers"][0]["ports"]}
    assert named["serve"] == served()["http_options"]["port"]
    assert {port["name"] for port in worker["spec"]["containers"][0]["ports"]} == {"serve", "metrics"}


def test_of_base_there_is_the_store_alone() -> None:
    kinds = sorted(resource["kind"] for resource in built(OVERLAY))
    own = ["NetworkPolicy", "PodDisruptionBudget", "RayService"]
    assert kinds == sorted(["Job", "Namespace", "PersistentVolumeClaim", *own])
    (claim,) = {
        volume["persistentVolumeClaim"]["claimName"]
        for template in templates(of_kind(OVERLAY, "RayService"))
        for volume in template["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claim == of_kind(OVERLAY, "PersistentVolumeClaim")["metadata"]["name"]
    workers = templates(of_kind(OVERLAY, "RayService"))[1]["metadata"]["labels"]
    assert of_kind(OVERLAY, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == workers


def test_the_control_a_pod_with_a_field_that_there_is_not_is_refused() -> None:
    head, _ = templates(of_kind(OVERLAY, "RayService"))
    spoilt = head | {"spec": head["spec"] | {"automountToken": False}}
    pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "abacus"}, "template": spoilt}
    with pytest.raises(ValidationError):
        validate(pod, VERSIONS[-1], strict=True)


def mounts(template: dict[str, Any], volume: str) -> list[dict[str, Any]]:
    return [m for c in template["spec"]["containers"] for m in c["volumeMounts"] if m["name"] == volume]
