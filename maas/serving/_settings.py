"""The configuration that a TorchServe instance is started with: safe where TorchServe's defaults are not."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

MOST_BODY_BYTES = 6_553_500
METRICS_CONFIG = Path(__file__).parent / "metrics.yaml"

MANAGEMENT_SOCKET, MODEL_LOG, STORE, CLASSES = "management.sock", "model_log.log", "store", "classes"
DRAIN_MARK = "drain"
DRAIN = "MAAS_DRAIN"
"""Environment variable: a file; while it exists, workers answer every request 503."""


@dataclass(frozen=True)
class Instance:
    """Where one TorchServe instance lives and listens.

    Args:
        folder: its own folder, of mode 0700: archives, temporary files, sockets, key file.
        logs: folder of its logs.
        host: address of inference alone; everything else is on loopback.
        port: of the inference address.
        metrics_port, grpc_port, grpc_management_port: further ports.
        token_minutes: life of a token.
        certificate, key: PEM files; with them inference speaks TLS.
    """

    folder: Path
    logs: Path
    host: str
    port: int
    metrics_port: int
    grpc_port: int
    grpc_management_port: int
    token_minutes: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def url(self) -> str:
        """Of inference, as clients on this machine reach it."""
        named = self.host == "localhost"
        return self._at("127.0.0.1" if named or ipaddress.ip_address(self.host).is_unspecified else self.host)

    @property
    def store(self) -> Path:
        """Its own copies of the archives that it serves, or served."""
        return self.folder / STORE

    @property
    def classes(self) -> Path:
        """Of Java: what lies here stands in place of TorchServe's own."""
        return self.folder / CLASSES

    @property
    def management_socket(self) -> Path:
        return self.folder / MANAGEMENT_SOCKET

    @property
    def drain_mark(self) -> Path:
        """While this file exists, workers answer 503."""
        return self.folder / DRAIN_MARK

    @property
    def model_log(self) -> Path:
        return self.logs / MODEL_LOG

    @property
    def server_log(self) -> Path:
        return self.logs / "ts_log.log"

    @property
    def console_log(self) -> Path:
        return self.logs / "console.log"

    def config_properties(self) -> str:
        """TorchServe's config.properties."""
        settings: dict[str, object] = {
            "inference_address": self._at(self.host),
            # Management can load any file as code: a socket in a closed folder, never a port.
            "management_address": f"unix:{self.management_socket}",
            "metrics_address": f"http://127.0.0.1:{self.metrics_port}",
            "grpc_inference_address": "127.0.0.1",
            "grpc_inference_port": self.grpc_port,
            "grpc_management_address": "127.0.0.1",
            "grpc_management_port": self.grpc_management_port,
            "disable_token_authorization": "false",
            "token_expiration_min": self.token_minutes,
            # For releases; an archive is named by its file in the server's own store, and no URL is fetched.
            "enable_model_api": "true",
            "allowed_urls": "file://none",
            "install_py_dep_per_model": "false",
            # Else the worker parses bodies before the handler does, and takes NaN for a number.
            "decode_input_request": "false",
            "metrics_mode": "prometheus",
            "metrics_config": METRICS_CONFIG,
            "disable_system_metrics": "true",
            "async_logging": "true",
            "max_request_size": MOST_BODY_BYTES,
            "max_response_size": MOST_BODY_BYTES,
        }
        if self.certificate:
            settings |= {"certificate_file": self.certificate, "private_key_file": self.key}
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    def log4j2_xml(self) -> str:
        """Logging: warnings, and what the workers print. TorchServe's own default writes several lines a request."""
        appenders = ""
        for name, file, pattern in (
            ("server", self.server_log, "%d{ISO8601} [%-5p] %t %c - %m%n"),
            ("model", self.model_log, "%d{ISO8601} %t - %m%n"),
        ):
            appenders += f"""\
    <RollingFile name="{name}" fileName={quoteattr(str(file))} filePattern={quoteattr(f"{file}.%i")}>
      <PatternLayout pattern="{pattern}"/>
      <SizeBasedTriggeringPolicy size="20 MB"/>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>
"""
        return f"""<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="error">
  <Appenders>
{appenders}  </Appenders>
  <Loggers>
    <Logger name="MODEL_LOG" level="info" additivity="false"><AppenderRef ref="model"/></Logger>
    <Logger name="io.netty" level="error"/>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="TELEMETRY_METRICS" level="off"/>
    <Root level="warn"><AppenderRef ref="server"/></Root>
  </Loggers>
</Configuration>
"""

    def _at(self, host: str) -> str:
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.certificate else 'http'}://{shown}:{self.port}"
