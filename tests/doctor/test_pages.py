"""What docs/troubleshooting.md quotes is what maas says."""

import re
from pathlib import Path

import maas

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
OF_OTHERS = (
    "Invalid configuration", "TorchServe is already running", "No module named", "Expected only one class", "/ping",
    "InvalidKeyException", "Worker died", "Prediction failed", "CUDA error", "Bus error", "Too many open files",
    "torch.cuda", "DataLoader", "key_file.json", "/v2/", "Healthy", "ts_log.log", "NAME",
)  # fmt: skip


def test_messages_are_those_that_the_code_has() -> None:
    source = "\n".join(file.read_text() for file in Path(maas.__file__).parent.rglob("*.py"))
    source = re.sub(r"\"\s*\n\s*f?\"", "", source).replace("{SUMS}", "SHA256SUMS")
    source = (
        source.replace("{handler}", "maas_handler.py")
        .replace("{OLDEST}", "11")
        .replace("{artifact.SUMS}", "SHA256SUMS")
    )
    source = re.sub(r"\{[^{}]*\}", "...", source)
    quoted = [
        text.removeprefix("maas: ")
        for bold in re.findall(r"\*\*(.*?)\*\*", PAGE.read_text())
        for text in re.findall(r"`([^`]+)`", bold)
    ]
    ours = [text for text in quoted if " " in text and not text.startswith(OF_OTHERS)]
    assert len(ours) > 25
    parts = [(text, part.strip(" .,:;()")) for text in ours for part in text.split("...")]
    assert [text for text, part in parts if part and part not in source] == []
