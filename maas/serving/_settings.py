"""The configuration that a TorchServe instance is started with: safe where TorchServe's defaults are not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MOST_BODY_BYTES = 6_553_500
_MINUTES_OF_TEN_YEARS = 10 * 365 * 24 * 60


@dataclass(frozen=True)
class Instance:
    """Where one TorchServe instance lives and listens.

    Args:
        folder: its own folder, of mode 0700: temporary files, sockets, key file, logs.
        port: of the inference address.
        metrics_port, grpc_port, grpc_management_port: further ports, all on loopback.
    """

    folder: Path
    port: int
    metrics_port: int
    grpc_port: int
    grpc_management_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def management_socket(self) -> Path:
        return self.folder / "management.sock"

    @property
    def model_log(self) -> Path:
        return self.folder / "logs" / "model_log.log"

    @property
    def server_log(self) -> Path:
        return self.folder / "logs" / "ts_log.log"

    @property
    def console_log(self) -> Path:
        return self.folder / "logs" / "console.log"

    def config_properties(self) -> str:
        """TorchServe's config.properties."""
        settings = {
            "inference_address": self.url,
            # Management can load any file as code: a socket in a closed folder, never a port.
            "management_address": f"unix:{self.management_socket}",
            "metrics_address": f"http://127.0.0.1:{self.metrics_port}",
            "grpc_inference_address": "127.0.0.1",
            "grpc_inference_port": self.grpc_port,
            "grpc_management_address": "127.0.0.1",
            "grpc_management_port": self.grpc_management_port,
            "disable_token_authorization": "false",
            # The tokens are made anew at each start; they last as long as the server.
            "token_expiration_min": _MINUTES_OF_TEN_YEARS,
            "enable_model_api": "false",
            "allowed_urls": "file://none",
            "install_py_dep_per_model": "false",
            # Else the worker parses bodies before the handler does, and takes NaN for a number.
            "decode_input_request": "false",
            "metrics_mode": "prometheus",
            "disable_system_metrics": "true",
            "async_logging": "true",
            "max_request_size": MOST_BODY_BYTES,
            "max_response_size": MOST_BODY_BYTES,
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    def log4j2_xml(self) -> str:
        """Logging: warnings, and what the workers print. TorchServe's own default writes several lines a request."""
        return f"""<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="error">
  <Appenders>
    <RollingFile name="server" fileName="{self.server_log}" filePattern="{self.server_log}.%i">
      <PatternLayout pattern="%d{{ISO8601}} [%-5p] %t %c - %m%n"/>
      <SizeBasedTriggeringPolicy size="20 MB"/>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>
    <RollingFile name="model" fileName="{self.model_log}" filePattern="{self.model_log}.%i">
      <PatternLayout pattern="%d{{ISO8601}} %t - %m%n"/>
      <SizeBasedTriggeringPolicy size="20 MB"/>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>
  </Appenders>
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
