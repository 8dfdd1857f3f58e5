"""A page as people see it: Chromium without a window, driven over a pipe by its own protocol (CDP).

No package is needed beside the browser itself: `chromium`, `google-chrome` or what CHROMIUM names. It is not among this
project's dependencies, since the wheels that carry a browser (QtWebEngine) are large and want the system's libraries
all the same.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_REQUEST, _ANSWER = 3, 4  # the file descriptors at which --remote-debugging-pipe reads and writes
_ABOVE = 10  # where ours stand meanwhile, so that neither is overwritten by the other
_SECONDS = 60  # that an answer may take on a busy machine


def find() -> str | None:
    """The browser's path, or None where there is none."""
    named = (os.environ.get("CHROMIUM"), *NAMES)
    return next((found for name in named if name and (found := shutil.which(name))), None)


class Browser:
    """A browser with one page in it. What the page said and asked for since it was opened is in `said` and `asked`.

    Args:
        command: what `find` gave.
    """

    def __init__(self, command: str) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self._session: str | None = None
        self._number = 0
        self._rest = b""
        self._folder = tempfile.TemporaryDirectory(prefix="browser", ignore_cleanup_errors=True)
        low_read, self._to = os.pipe()
        self._from, low_write = os.pipe()
        to_read, to_write = (fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for one in (low_read, low_write))
        given = f'exec "$0" "$@" {_REQUEST}<&{to_read} {_ANSWER}>&{to_write}'
        options = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        options += [
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
            f"--user-data-dir={self._folder.name}",
        ]
        self._process = subprocess.Popen(
            ["bash", "-c", given, command, *options, "about:blank"],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for one in (low_read, low_write, to_read, to_write):
            os.close(one)
        try:
            target = self._ask("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for part in ("Page", "Network", "Runtime", "Log"):
                self._ask(f"{part}.enable")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the browser and remove what it wrote."""
        os.close(self._to)  # whereupon it ends
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def open(self, page: Path, *, width: int = 1100, height: int = 800, dark: bool = False) -> None:
        """Open a file as on a screen of so many CSS pixels, and wait until it is loaded."""
        self.said, self.asked = [], []
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._ask("Emulation.setEmulatedMedia", features=scheme)
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self._ask("Page.navigate", url=page.resolve().as_uri())
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def value(self, script: str) -> Any:
        """What a JavaScript expression is in the page."""
        return self._ask("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def picture(self, path: Path, *, whole: bool = True) -> Path:
        """Write what the page looks like as a PNG: the whole of it, or what the screen shows."""
        shown = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(shown["data"]))
        return path

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self) -> dict[str, Any]:
        """The next message; what it tells of the page is noted."""
        while b"\0" not in self._rest:
            if not select.select([self._from], [], [], _SECONDS)[0]:
                raise RuntimeError(f"the browser has said nothing for {_SECONDS} seconds")
            part = os.read(self._from, 1 << 16)
            if not part:
                raise RuntimeError("the browser ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        told = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.said.append(told["exceptionDetails"]["text"])
        elif message.get("method") == "Runtime.consoleAPICalled":
            self.said.append(str(told["args"]))
        elif message.get("method") == "Log.entryAdded":
            self.said.append(told["entry"]["text"])
        return message
