"""The same model under LitServe, with its batching, as its documentation teaches it."""

import sys
from typing import Any

import litserve
from peer_model import PeerModel, peer_folder


class Rows(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.peer = PeerModel(peer_folder())

    def decode_request(self, request):  # untyped: LitServe reads the annotation
        if self.peer.learned["kind"] == "image":
            return self.peer.item(request["image"].file.read())
        return self.peer.rows(request["instances"]) if "instances" in request else self.peer.item(request)

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, inputs: Any) -> Any:
        items = inputs if isinstance(inputs, list) else [inputs]
        if items[0].ndim == 2:
            return [self.peer.run_rows(one) for one in items]
        return list(self.peer.run(items))

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: Any) -> Any:
        if output.ndim == 2:
            return {"predictions": [self.peer.answer(one) for one in output]}
        return self.peer.answer(output)


if __name__ == "__main__":
    port, batch_size, delay_ms = map(int, sys.argv[1:4])
    api = Rows(max_batch_size=batch_size, batch_timeout=delay_ms / 1000)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, log_level="warning", generate_client_file=False)
