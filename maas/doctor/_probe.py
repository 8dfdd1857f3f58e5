"""What torch is and can do here, printed as JSON by a process of its own: a broken torch may end whoever imports it."""

from __future__ import annotations

import json
import warnings
from typing import Any


def facts() -> dict[str, Any]:
    """Versions, threads, memory and GPUs; or only `error`, where torch cannot be imported."""
    try:
        import torch

        found: dict[str, Any] = {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip}
        found["threads"] = torch.get_num_threads()
    except BaseException as error:  # whatever it is, torch is broken
        return {"error": f"{type(error).__name__}: {error}"}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found["gpus"] = _gpus(torch)
    found["said"] = [str(one.message).partition("\n")[0] for one in said]
    try:
        from maas.nn import available_cores
        from maas.nn._memory import free_bytes

        found |= {"cores": available_cores(), "free_bytes": free_bytes(torch.device("cpu"))}
    except Exception as error:
        found["maas"] = f"{type(error).__name__}: {error}"
    return found


def _gpus(torch: Any) -> list[dict[str, Any]]:
    """Each GPU, and what came of one addition on it."""
    if not torch.cuda.is_available():
        return []
    gpus = []
    for place in range(torch.cuda.device_count()):
        gpu: dict[str, Any] = {"name": f"cuda:{place}", "error": ""}
        try:
            gpu["name"] = torch.cuda.get_device_name(place)
            gpu["free_bytes"] = torch.cuda.mem_get_info(place)[0]
            if float(torch.ones(1, device=f"cuda:{place}") + 1) != 2:
                gpu["error"] = "1 + 1 is not 2 on it"
        except Exception as error:
            gpu["error"] = f"{type(error).__name__}: {error}".partition("\n")[0]
        gpus.append(gpu)
    return gpus


if __name__ == "__main__":
    print(json.dumps(facts()))
