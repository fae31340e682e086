"""The Helm chart: what it renders to, for values that change its shape."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm"
BIN = Path(sys.executable).parent
HELM = shutil.which("helm", path=f"{BIN}:{os.environ['PATH']}")
KEY = "secrets.FRAMEKEEP_LINKS_KEYS=00112233445566778899aabbccddeeff"
EVERYTHING = (
    "autoscaling.enabled=true",
    "serviceMonitor.enabled=true",
    "networkPolicy.enabled=true",
    "ingress.enabled=true",
    "ingress.tlsSecret=tls",
    "router.aliases={media,shop}",
    "settings.FRAMEKEEP_CACHE_MAX_RESULT_BYTES=6000000000",
)
SHAPES = {
    "default": (KEY,),
    "everything": (KEY, *EVERYTHING),
    "no router, no claims": (KEY, "cache.persistent=false", "router.enabled=false", *EVERYTHING),
    "a secret of yours": ("existingSecret=mine", "podDisruptionBudget.enabled=false"),
}


def helm(command: str, *values: str) -> subprocess.CompletedProcess[str]:
    if HELM is None:
        pytest.skip("Helm is not installed; scripts/install-helm does it where CI=true")
    sets = [argument for value in values for argument in ("--set", value)]
    arguments = [command, CHART] if command == "lint" else [command, "images", CHART]
    return subprocess.run(
        [HELM, *map(str, arguments), "--kube-version", "1.31.0", *sets],
        capture_output=True,
        text=True,
        check=False,
    )


def render(*values: str) -> list[dict[str, Any]]:
    rendered = helm("template", *values)
    assert rendered.returncode == 0, rendered.stderr
    return [document for document in yaml.safe_load_all(rendered.stdout) if document]


def named(documents: list[dict[str, Any]], kind: str, suffix: str = "") -> dict[str, Any]:
    (found,) = (
        document
        for document in documents
        if document["kind"] == kind and document["metadata"]["name"] == f"images-framekeep{suffix}"
    )
    return found


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_the_chart_passes_lint(values: tuple[str, ...]) -> None:
    linted = helm("lint", *values)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_what_it_renders_are_valid_objects_of_kubernetes(
    values: tuple[str, ...], tmp_path: Path
) -> None:
    documents = [
        document
        for document in render(*values)
        if document["kind"] != "ServiceMonitor"  # of the Prometheus operator
    ]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(documents))
    validated = subprocess.run(
        [BIN / "kubernetes-validate", "--strict", "-k", "1.31", tmp_path / "all.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert validated.returncode == 0, validated.stdout + validated.stderr


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_every_selector_finds_pods_of_the_chart(values: tuple[str, ...]) -> None:
    documents = render(*values)
    pods = [
        document["spec"]["template"]["metadata"]["labels"]
        for document in documents
        if document["kind"] in {"Deployment", "StatefulSet"}
    ]
    services = [
        document["metadata"]["labels"] for document in documents if document["kind"] == "Service"
    ]
    for document in documents:
        spec = document.get("spec", {})
        labels = spec.get("selector") or spec.get("podSelector")
        if labels is None:
            continue
        labels = labels.get("matchLabels", labels)
        among = services if document["kind"] == "ServiceMonitor" else pods
        assert [one for one in among if labels.items() <= one.items()], document


def test_a_release_without_a_key_is_refused() -> None:
    refused = helm("template")
    assert refused.returncode != 0
    assert "set existingSecret, or secrets.FRAMEKEEP_LINKS_KEYS" in refused.stderr


@pytest.mark.parametrize(
    "value", ["replica=3", "settings.PORT=1", "cache.size=big", "router.aliases={a|b}"]
)
def test_a_value_that_does_not_exist_or_fit_is_refused(value: str) -> None:
    refused = helm("template", KEY, value)
    assert refused.returncode != 0
    assert value.partition("=")[0].split(".")[-1] in refused.stderr


def test_servers_keep_their_cache_and_stop_in_peace() -> None:
    pod = named(render(KEY), "StatefulSet")["spec"]
    assert pod["volumeClaimTemplates"][0]["metadata"]["name"] == "cache"
    container = pod["template"]["spec"]["containers"][0]
    assert container["volumeMounts"][0]["mountPath"] == "/var/cache/framekeep"
    # 38 s are what the server takes at most, after the pause of preStop.
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["template"]["spec"]["terminationGracePeriodSeconds"] >= 38 + pause


def environment(*values: str) -> dict[str, str]:
    server = named(render(KEY, *values), "StatefulSet")["spec"]["template"]["spec"]
    variables = server["containers"][0].get("env", [])
    return {variable["name"]: variable["value"] for variable in variables}


def test_servers_that_share_a_bucket_tell_each_other_of_purges() -> None:
    bucket = "settings.FRAMEKEEP_SHARED_CACHE_URL=s3://bucket"
    name = "FRAMEKEEP_SHARED_PEERS"
    assert environment(bucket)[name] == "images-framekeep-servers:8080"
    assert environment(bucket, f"settings.{name}=other:81")[name] == "other:81"
    assert name not in environment(bucket, "sharePurges=false")
    assert name not in environment()
    documents = render(KEY, bucket, "networkPolicy.enabled=true")
    policy = named(documents, "NetworkPolicy")["spec"]
    component = "app.kubernetes.io/component"
    for rules, side in ((policy["ingress"], "from"), (policy["egress"], "to")):
        peers = [peer for rule in rules for peer in rule.get(side, [])]
        labels = [peer["podSelector"]["matchLabels"][component] for peer in peers]
        assert "server" in labels
    # The headless Service, whose name it is, has these pods.
    assert named(documents, "Service", "-servers")["spec"]["clusterIP"] == "None"


def test_the_router_is_the_one_that_is_shipped(tmp_path: Path) -> None:
    """The same rules as in ``deploy/fleet/haproxy.cfg``, and HAProxy accepts them."""
    documents = render(KEY, "router.aliases={media,demo}")
    rendered = named(documents, "ConfigMap", "-router")["data"]["haproxy.cfg"]
    shipped = (CHART.parent / "fleet" / "haproxy.cfg").read_text()
    for pattern in ("http-request set-var.*", "http-request deny.*", "balance .*", "hash-type .*"):
        assert re.findall(pattern, rendered) == re.findall(pattern, shipped)
    haproxy = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if haproxy is None:
        return
    # `hash-key` is of HAProxy 3; older versions agree on all the rest.
    (tmp_path / "haproxy.cfg").write_text(rendered.replace(" hash-key addr-port", ""))
    checked = subprocess.run(
        [haproxy, "-c", "-f", tmp_path / "haproxy.cfg"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
