"""The kits of `framekeep prepare`: what they run are commands of this version."""

import re
import shlex
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from proxy.cli.parser import make_parser

DEPLOY = Path(__file__).parents[2] / "deploy"


def document(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def commands() -> list[str]:
    job = document("prepare-job.yaml")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    launcher = (DEPLOY / "ray" / "cluster.yaml").read_text(encoding="utf-8")
    by_hand = re.search(r'"(framekeep .*?)"', launcher, re.DOTALL)
    assert by_hand is not None
    return [
        document("ray/job.yaml")["spec"]["entrypoint"],
        re.sub(r"\$\(\(.*?\)\)", "17", container["args"][0]),
        by_hand[1].replace("\\\n#", " "),
    ]


@pytest.mark.parametrize("command", commands())
def test_the_commands_exist(command: str) -> None:
    name, *arguments = shlex.split(command)
    args = make_parser(["prepare"]).parse_args(arguments)
    assert (name, args.to, args.preset) == ("framekeep", "shared", ["card"])
    assert args.report.startswith("s3://")


def test_the_indexed_job_is_valid() -> None:
    kubernetes_validate.validate(document("prepare-job.yaml"), "1.31", strict=True)


def test_the_parts_of_the_indexed_job_are_as_many_as_it_completes() -> None:
    job = document("prepare-job.yaml")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert f"/{job['spec']['completions']}" in container["args"][0]


def test_all_machines_of_a_ray_cluster_have_the_same_image_and_settings() -> None:
    cluster = document("ray/job.yaml")["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    containers = [container for pod in pods for container in pod["containers"]]
    assert len({container["image"] for container in containers}) == 1
    assert all(one["envFrom"] == containers[0]["envFrom"] for one in containers)
    for pod in pods:
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": pod}
        kubernetes_validate.validate(body, "1.31", strict=True)
