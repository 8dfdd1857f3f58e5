"""Who answers in `benchmarks/serving.py`: each starts a server on one model, and stops it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environment import ROOT
from serving_workloads import JPEG, Load, Model

import maas
from maas.serving._java import find_java
from maas.serving._ports import free_ports

SERVERS = ROOT / "benchmarks" / "servers"
START_SECONDS = 120.0


@dataclass(frozen=True)
class Target:
    """Where the load goes.

    Args:
        url: of the prediction.
        token: the bearer token, or "".
        pid: of the process whose children are the workers.
    """

    url: str
    token: str
    pid: int


class Contender(ABC):
    """One way to serve. `start` comes first, `stop` last."""

    def __init__(self, model: Model, load: Load, python: Path) -> None:
        self.model, self.load, self.python = model, load, python
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(self) -> Target:
        """Start, and wait until it answers."""

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        with open(self.folder / "log.txt", "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{ROOT}:{SERVERS}",
                    "PEER_FOLDER": str(self.model.folder.resolve()),
                    "PEER_CODE": str(SERVERS),
                    "CUDA_VISIBLE_DEVICES": "",
                    **environment,
                },
            )
        return self.process

    def wait_for(self, url: str, ready: Any = lambda _: True) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=5) as answer:
                if ready(answer.read()):
                    return
            time.sleep(0.2)
        raise SystemExit(f"{type(self).__name__} did not start:\n{(self.folder / 'log.txt').read_text()[-3000:]}")


class Maas(Contender):
    """`maas serve`, as it comes, with the load's batch size and delay packaged."""

    artifact = "artifact"

    def start(self) -> Target:
        store = self.folder / "store"
        maas.package(
            getattr(self.model, self.artifact),
            store=store,
            name=self.model.name,
            batch_size=self.load.batch_size,
            max_batch_delay_ms=self.load.delay_ms,
        )
        self.server = maas.serve(store, [self.model.name])
        url = f"{self.server.url}/predictions/{self.model.name}"
        return Target(url, self.server.token(), self.server.pid)

    def stop(self) -> None:
        self.server.stop()
        super().stop()


class MaasVouched(Maas):
    """The same with an artifact that vouches for bfloat16, which the worker then computes in."""

    artifact = "vouched"


class MaasInt8(Maas):
    """The same with an artifact that was compressed."""

    artifact = "int8"


class MaasFused(Maas):
    """The same with an artifact whose convolutions were fused, in float32."""

    artifact = "fused"


class MaasFusedVouched(Maas):
    """The same with a fused artifact that vouches for bfloat16."""

    artifact = "fused_vouched"


class Stock(Contender):
    """TorchServe with its own handler and its own settings; one worker and the batch size are the load's."""

    quiet = False
    batches = True
    configured = True

    def start(self) -> Target:
        ports = free_ports(5)
        image = self.load.media == JPEG
        config = self.folder / "model-config.yaml"
        batch_size = self.load.batch_size if self.batches else 1
        config.write_text(
            f"minWorkers: 1\nmaxWorkers: 1\nbatchSize: {batch_size}\nmaxBatchDelay: {self.load.delay_ms}\n"
            f"responseTimeout: 120\nstartupTimeout: 120\n"
        )
        store = self.folder / "store"
        store.mkdir()
        folder = self.model.folder.resolve()
        files = [folder / "network.json"]
        if image:
            what = ["--handler", "image_classifier", "--model-file", str(SERVERS / "peer_network.py")]
            what += ["--serialized-file", str(folder / "inner.pth")]
        else:
            what = ["--handler", str(SERVERS / "stock_rows.py"), "--serialized-file", str(folder / "inner.pth")]
            files += [folder / "prepare.json", folder / "weights.safetensors"]
        archiver = shutil.which("torch-model-archiver", path=Path(sys.executable).parent)
        assert archiver
        command = [archiver, "--model-name", "peer", "--version", "1.0", *what]
        command += ["--config-file", str(config)] if self.configured else []
        command += ["--export-path", str(store), "--extra-files", ",".join(map(str, files))]
        subprocess.run(command, check=True)
        addresses = zip(("inference", "management", "metrics"), ports, strict=False)
        lines = [f"{name}_address=http://127.0.0.1:{port}" for name, port in addresses]
        lines += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}"]
        lines += ["disable_token_authorization=true"]
        # By the peers' interpreter: its handlers of images want Captum.
        command = [str(self.python), "-m", "ts.model_server", "--start", "--foreground", "--ncs"]
        if self.quiet:
            lines += ["metrics_mode=prometheus", "disable_system_metrics=true", "async_logging=true"]
            logging = self.folder / "log4j2.xml"
            logging.write_text(QUIET.replace("FOLDER", str(self.folder)))
            command += ["--log-config", str(logging)]
        properties = self.folder / "config.properties"
        properties.write_text("\n".join(lines) + "\n")
        (self.folder / "tmp").mkdir()
        command += ["--ts-config", str(properties), "--model-store", str(store), "--models", "peer=peer.mar"]
        java = find_java().parent
        self.run(
            command,
            TEMP=str(self.folder / "tmp"),
            TMPDIR=str(self.folder / "tmp"),
            LOG_LOCATION=str(self.folder / "logs"),
            METRICS_LOCATION=str(self.folder / "logs"),
            PATH=f"{Path(sys.executable).parent}:{java}:{os.environ['PATH']}",
        )

        def ready(body: bytes) -> bool:
            workers = json.loads(body)[0]["workers"]
            return bool(workers) and all(worker["status"] == "READY" for worker in workers)

        self.wait_for(f"http://127.0.0.1:{ports[1]}/models/peer", ready)
        assert self.process is not None
        return Target(f"http://127.0.0.1:{ports[0]}/predictions/peer", "", self.process.pid)


class StockDefaults(Stock):
    """The same without a model-config.yaml: no batches, and a worker for each core."""

    configured = False


class StockQuiet(Stock):
    """The same with logging and metrics as quiet as ours."""

    quiet = True


class StockAlone(StockQuiet):
    """The same without batching: what a lone client gets from it at best."""

    batches = False


class LitServe(Contender):
    """LitServe, batching as the others do."""

    def start(self) -> Target:
        (port,) = free_ports(1)
        arguments = [str(port), str(self.load.batch_size), str(self.load.delay_ms)]
        self.run([str(self.python), str(SERVERS / "litserve_app.py"), *arguments])
        self.wait_for(f"http://127.0.0.1:{port}/health")
        assert self.process is not None
        return Target(f"http://127.0.0.1:{port}/predict", "", self.process.pid)


class FastApi(Contender):
    """A plain FastAPI application on uvicorn."""

    def start(self) -> Target:
        (port,) = free_ports(1)
        self.run([str(self.python), str(SERVERS / "fastapi_app.py"), str(port)])
        self.wait_for(f"http://127.0.0.1:{port}/openapi.json")
        assert self.process is not None
        path = "image" if self.load.media == JPEG else "predict"
        return Target(f"http://127.0.0.1:{port}/{path}", "", self.process.pid)


CONTENDERS: dict[str, type[Contender]] = {
    "maas": Maas,
    "maas bf16": MaasVouched,
    "maas int8": MaasInt8,
    "maas fused": MaasFused,
    "maas fused bf16": MaasFusedVouched,
    "stock": Stock,
    "stock, defaults": StockDefaults,
    "stock, quiet": StockQuiet,
    "stock, no batches": StockAlone,
    "litserve": LitServe,
    "fastapi": FastApi,
}

QUIET = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="error">
  <Appenders>
    <File name="all" fileName="FOLDER/quiet.log"><PatternLayout pattern="%d [%-5p] %c - %m%n"/></File>
  </Appenders>
  <Loggers>
    <Logger name="io.netty" level="error"/>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="MODEL_LOG" level="warn"/>
    <Root level="warn"><AppenderRef ref="all"/></Root>
  </Loggers>
</Configuration>
"""
