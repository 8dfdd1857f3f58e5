"""The files under examples/deployment: against the schemas of what reads them, offline, and the front for real."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import maas
from maas.cli._parser import build_parser
from maas.errors import RequestRefused

FOLDER = Path(__file__).parent.parent / "examples" / "deployment"
KUBERNETES = "1.33"
CADDY = shutil.which("caddy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")

# What a predictor of KServe has beside a pod's own fields, where they are used here: ComponentExtensionSpec in
# pkg/apis/serving/v1beta1/component.go of github.com/kserve/kserve, release 0.15, and its CRD
# config/crd/full/serving.kserve.io_inferenceservices.yaml.
PREDICTOR = {
    "minReplicas": lambda value: type(value) is int and value >= 0,
    "maxReplicas": lambda value: type(value) is int and value >= 0,
    "scaleTarget": lambda value: type(value) is int,
    "scaleMetric": lambda value: value in ("cpu", "memory", "concurrency", "rps"),
    "timeout": lambda value: type(value) is int,
}


def documents(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((FOLDER / name).read_text()) if one]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """The pod specifications in all files."""
    yield "kubernetes", documents("kubernetes.yaml")[0]["spec"]["template"]["spec"]
    predictor = documents("kserve.yaml")[0]["spec"]["predictor"]
    yield "kserve", {name: value for name, value in predictor.items() if name not in PREDICTOR}


def test_the_manifests_are_what_kubernetes_takes() -> None:
    found = documents("kubernetes.yaml")
    for document in found:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    assert [one["kind"] for one in found] == [
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
    ]
    broken = {**found[1], "spec": {**found[1]["spec"], "slector": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_the_inference_service_is_what_kserve_takes() -> None:
    (service,) = documents("kserve.yaml")
    assert service.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert service["spec"].keys() == {"predictor"}
    predictor = service["spec"]["predictor"]
    for name, fits in PREDICTOR.items():
        assert fits(predictor[name]), name
    pod = dict(pods())["kserve"]
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod}, KUBERNETES, strict=True
    )
    # The container of this name is the one that traffic is sent to, at its only port.
    (first,) = [one for one in pod["containers"] if one["name"] == "kserve-container"]
    assert len(first["ports"]) == 1


@pytest.mark.parametrize("pod", [spec for _, spec in pods()], ids=[name for name, _ in pods()])
def test_pods_are_closed_probed_by_commands_and_drained(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    volumes = {one["name"] for one in pod["volumes"]}
    for container in pod["containers"]:
        closed = container["securityContext"]
        assert closed["readOnlyRootFilesystem"]
        assert closed["allowPrivilegeEscalation"] is False
        assert closed["capabilities"]["drop"] == ["ALL"]
        assert container["resources"].keys() == {"requests", "limits"}
        assert {one["name"] for one in container["volumeMounts"]} <= volumes
        assert "/tmp" in {one["mountPath"] for one in container["volumeMounts"]}
    model, front = sorted(pod["containers"], key=lambda one: one["name"] != "model")
    drain = float(model["args"][model["args"].index("--drain-seconds") + 1])
    left_service, outlives = (one["lifecycle"]["preStop"]["sleep"]["seconds"] for one in (model, front))
    assert left_service + drain < outlives < pod["terminationGracePeriodSeconds"]
    assert "ports" not in model  # it listens on loopback
    for probe in ("startupProbe", "readinessProbe"):
        command = model[probe]["exec"]["command"]
        asked = build_parser().parse_args(command[1:])
        assert (command[0], asked.command, asked.models) == ("maas", "ready", ["wine"])
        assert model[probe]["timeoutSeconds"] > 5  # what `maas ready` itself waits


def test_the_compose_file_is_closed_too() -> None:
    (compose,) = documents("compose.yaml")
    for service in compose["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] == "10001:10001"
        assert service["mem_limit"]
        assert any(one.startswith("/tmp:") for one in service["tmpfs"])
        assert int(service["stop_grace_period"].removesuffix("s")) > 30
    model = compose["services"]["model"]
    asked = build_parser().parse_args(model["healthcheck"]["test"][2:])
    assert (asked.command, asked.models, asked.token_file) == ("ready", [], "/run/maas/token")
    assert all(port.startswith("127.0.0.1:") for port in model["ports"])


def test_the_dockerfile_passes_its_linter() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    text = (FOLDER / "Dockerfile").read_text()
    assert text.index("USER 10001") < text.index("ENTRYPOINT")
    assert 'CMD ["maas", "ready"]' in text


class Inner(BaseHTTPRequestHandler):
    """Answers with the token that it was given."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.dumps({"label": self.headers["authorization"], "model": {}, "name": "m"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(CADDY is None, reason="there is no caddy on the path")
def test_the_front_wants_its_token_and_hands_on_the_servers_own(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inner = ThreadingHTTPServer(("127.0.0.1", 0), Inner)
    threading.Thread(target=inner.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    token = tmp_path / "token"
    token.write_text("inner-1")
    text = (FOLDER / "Caddyfile").read_text()
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{inner.server_port}").replace("/run/maas/token", str(token))
    (tmp_path / "Caddyfile").write_text(text)
    environment = {
        **os.environ, "FRONT_TOKEN": "outer", "FRONT_ADDRESS": f"http://127.0.0.1:{port}", "FRONT_TLS": "",
        "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path),
    }  # fmt: skip
    command = [str(CADDY), "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"]
    with open(tmp_path / "log", "wb") as log, subprocess.Popen(command, env=environment, stderr=log) as front:
        try:
            url = f"http://127.0.0.1:{port}"
            with maas.Client("m", url=url, token="outer") as client:
                client.wait_ready(20)
                assert client.predict({})["label"] == "Bearer inner-1"
                token.write_text("inner-2")
                assert client.predict({})["label"] == "Bearer inner-2"
            for wrong in ("inner-2", None):
                with (
                    maas.Client("m", url=url, token=wrong) as client,
                    pytest.raises(RequestRefused, match="401 Unauthorized: the request must have the header"),
                ):
                    client.predict({})
        finally:
            front.terminate()
            inner.shutdown()
            inner.server_close()
