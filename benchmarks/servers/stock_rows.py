"""A TorchServe handler as its documentation teaches it: the base handler with the steps of one's own model.

Frozen: it is what ours is compared with. Images need none: TorchServe's own `image_classifier` is taken as it is.
"""

import json
import os
import sys

import torch
from ts.torch_handler.base_handler import BaseHandler

sys.path.insert(0, os.environ["PEER_CODE"])


class StockRows(BaseHandler):
    def initialize(self, context):
        from pathlib import Path

        from peer_model import PeerModel

        self.peer = PeerModel(Path(context.system_properties["model_dir"]))
        self.model = self.peer.network
        self.device = torch.device("cpu")
        self.initialized = True

    def preprocess(self, data):
        bodies = [row.get("data") or row.get("body") for row in data]
        bodies = [json.loads(body) if isinstance(body, (bytes, bytearray, str)) else body for body in bodies]
        self.many = ["instances" in body for body in bodies]
        self.counts = [len(body["instances"]) if many else 1 for body, many in zip(bodies, self.many, strict=True)]
        if any(self.many):
            rows = [row for body in bodies for row in body.get("instances", [body])]
            return self.peer.rows(rows)
        return [self.peer.item(body) for body in bodies]

    def inference(self, data):
        return self.peer.run_rows(data) if isinstance(data, torch.Tensor) else self.peer.run(data)

    def postprocess(self, probabilities):
        answers, start = [], 0
        for count, many in zip(self.counts, self.many, strict=True):
            found = [self.peer.answer(one) for one in probabilities[start : start + count]]
            answers.append({"predictions": found} if many else found[0])
            start += count
        return answers
