"""The manifests agree with each other, with the image and with the code."""

from __future__ import annotations

from typing import Any

import pytest

from hypergraph.store.keys import Keys
from hypergraph.transport.tags import WIRE_VERSION, make_tag
from tests.deploy.files import (
    DEPLOY,
    check_command,
    check_variables,
    load,
    load_all,
    python_of_the_image,
    read_dockerfile,
)

KUSTOMIZATION = load("kustomization.yaml")
REDIS = load_all("kubernetes/redis.yaml")
WORKER = load_all("kubernetes/worker.yaml")["Deployment"]
KEDA = load_all("kubernetes/autoscaling-keda.yaml")
HPA = load_all("kubernetes/autoscaling-hpa.yaml")["HorizontalPodAutoscaler"]

ENTRYPOINT = next(i.words for i in read_dockerfile() if i.word == "ENTRYPOINT")


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


def container_of(workload: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod_of(workload)["containers"]
    assert isinstance(found, dict)
    return found


WORKLOADS = [
    pytest.param(WORKER, id="worker"),
    pytest.param(REDIS["StatefulSet"], id="redis"),
]


def test_everything_that_is_applied_is_there() -> None:
    files = [*KUSTOMIZATION["resources"], *KUSTOMIZATION["configMapGenerator"][0]["files"]]

    assert all((DEPLOY / file).is_file() for file in files)
    images = {image["name"] for image in KUSTOMIZATION["images"]}
    assert container_of(WORKER)["image"] in images


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_finds_its_pods(workload: dict[str, Any]) -> None:
    labels = workload["spec"]["template"]["metadata"]["labels"]

    assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_service_leads_to_redis() -> None:
    service, redis = REDIS["Service"], REDIS["StatefulSet"]
    labels = redis["spec"]["template"]["metadata"]["labels"]
    (port,) = service["spec"]["ports"]
    (container_port,) = container_of(redis)["ports"]

    assert redis["spec"]["serviceName"] == service["metadata"]["name"] == "redis"
    assert service["spec"]["selector"].items() <= labels.items()
    assert (port["port"], port["targetPort"]) == (6379, container_port["name"])
    assert container_port["containerPort"] == 6379


def test_redis_lets_in_workers_and_what_scales_them() -> None:
    policy = REDIS["NetworkPolicy"]["spec"]
    labels = REDIS["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    ours, keda = policy["ingress"][0]["from"]

    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    worker_labels = WORKER["spec"]["template"]["metadata"]["labels"]
    assert ours["podSelector"]["matchLabels"].items() <= worker_labels.items()
    assert keda["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "keda"}


def test_redis_reads_its_configuration_and_keeps_its_data() -> None:
    redis = container_of(REDIS["StatefulSet"])
    mounts = {mount["name"]: mount["mountPath"] for mount in redis["volumeMounts"]}
    (volume,) = pod_of(REDIS["StatefulSet"])["volumes"]
    (claim,) = REDIS["StatefulSet"]["spec"]["volumeClaimTemplates"]
    (generated,) = KUSTOMIZATION["configMapGenerator"]

    assert volume["configMap"]["name"] == generated["name"]
    assert redis["command"][1] == f"{mounts[volume['name']]}/{generated['files'][0]}"
    assert f"\ndir {mounts[claim['metadata']['name']]}\n" in (DEPLOY / "redis.conf").read_text()


@pytest.mark.parametrize("workload", WORKLOADS)
def test_variables_are_defined_before_they_are_used(workload: dict[str, Any]) -> None:
    container = container_of(workload)
    known: set[str] = set()
    for variable in container["env"]:
        used = {name for name in known if f"$({name})" in variable.get("value", "")}
        assert variable.get("value", "").count("$(") == len(used)
        known.add(variable["name"])

    assert "REDIS_PASSWORD" in known


def test_what_secrets_are_asked_for_is_what_one_is_told_to_make() -> None:
    told = (DEPLOY / "kustomization.yaml").read_text()
    asked = [
        variable["valueFrom"]["secretKeyRef"]
        for workload in (WORKER, REDIS["StatefulSet"])
        for variable in container_of(workload)["env"]
        if "valueFrom" in variable
    ]
    volume = next(volume for volume in pod_of(WORKER)["volumes"] if "secret" in volume)
    items = [item["key"] for item in volume["secret"]["items"]]

    assert "create secret generic hypergraph " in told
    assert {ask["name"] for ask in asked} | {volume["secret"]["secretName"]} == {"hypergraph"}
    for key in {ask["key"] for ask in asked} | set(items):
        assert f"--from-literal={key}=" in told


def test_the_signing_secret_comes_from_a_file_that_the_worker_may_read() -> None:
    container = container_of(WORKER)
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    volume = next(volume for volume in pod_of(WORKER)["volumes"] if "secret" in volume)
    mount = next(m for m in container["volumeMounts"] if m["name"] == volume["name"])
    path = f"{mount['mountPath']}/{volume['secret']['items'][0]['path']}"

    check_variables(variables)
    assert variables["HYPERGRAPH_SECRET_FILE"] == path
    assert volume["secret"]["defaultMode"] == 0o440
    assert pod_of(WORKER)["securityContext"]["fsGroup"] > 0


def test_the_worker_s_command_is_one_and_is_given_time_to_drain() -> None:
    options = check_command([*ENTRYPOINT, *container_of(WORKER)["args"]])

    assert pod_of(WORKER)["terminationGracePeriodSeconds"] >= options["drain_s"] + 10
    cores = float(container_of(WORKER)["resources"]["requests"]["cpu"])
    assert options["processes"] == cores


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_probes_are_commands_of_ours(probe: str) -> None:
    described = container_of(WORKER)[probe]

    options = check_command(described["exec"]["command"])

    # A worker whose Redis is away is not to be restarted, but cannot be given work.
    assert options["ready"] is (probe == "readinessProbe")
    assert options["if_main"] is False
    assert described["timeoutSeconds"] >= 5


@pytest.mark.parametrize("workload", WORKLOADS)
def test_containers_can_do_no_more_than_they_need(workload: dict[str, Any]) -> None:
    pod, container = pod_of(workload), container_of(workload)

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_image_s_user_is_the_pod_s() -> None:
    user = [i.rest for i in read_dockerfile() if i.word == "USER"][-1]
    context = pod_of(WORKER)["securityContext"]

    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user


def test_keda_looks_at_the_queue_that_the_image_s_workers_serve() -> None:
    (trigger,) = KEDA["ScaledObject"]["spec"]["triggers"]
    options = check_command([*ENTRYPOINT, *container_of(WORKER)["args"]])
    tag = make_tag(*python_of_the_image(), WIRE_VERSION)
    (queue,) = options["queues"]

    assert trigger["type"] == "redis"
    assert trigger["metadata"]["listName"] == f"{Keys('default').dramatiq}:{queue}.{tag}"
    url = next(v["value"] for v in container_of(WORKER)["env"] if "REDIS_URL" in v["name"])
    assert url.endswith(f"/{trigger['metadata']['databaseIndex']}")
    host = f"redis.{KUSTOMIZATION['namespace']}.svc.cluster.local:6379"
    assert trigger["metadata"]["address"] == host


def test_keda_authenticates_as_the_workers_do() -> None:
    authentication = KEDA["TriggerAuthentication"]
    (target,) = authentication["spec"]["secretTargetRef"]
    (trigger,) = KEDA["ScaledObject"]["spec"]["triggers"]

    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    assert target == {"parameter": "password", "name": "hypergraph", "key": "redis-password"}


def test_either_autoscaler_scales_the_workers_and_never_to_none() -> None:
    keda, hpa = KEDA["ScaledObject"], HPA

    for scaler in (keda, hpa, KEDA["TriggerAuthentication"]):
        assert scaler["metadata"]["namespace"] == KUSTOMIZATION["namespace"]
    for scaler in (keda, hpa):
        assert scaler["spec"]["scaleTargetRef"]["name"] == WORKER["metadata"]["name"]
        assert not any(scaler is document for document in KUSTOMIZATION["resources"])
    assert (keda["spec"]["minReplicaCount"], hpa["spec"]["minReplicas"]) == (1, 1)
    target = hpa["spec"]["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == (WORKER["apiVersion"], WORKER["kind"])
    # A share of what is requested: so something must be.
    assert "cpu" in container_of(WORKER)["resources"]["requests"]
