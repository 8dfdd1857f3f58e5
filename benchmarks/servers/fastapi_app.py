"""The same model behind a plain FastAPI application on uvicorn: a request, a forward pass."""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from peer_model import PeerModel, peer_folder

app = FastAPI()
peer = PeerModel(peer_folder())


@app.post("/predict")
def predict(row: dict[str, Any]) -> Any:
    if "instances" in row:
        return {"predictions": [peer.answer(one) for one in peer.run_rows(peer.rows(row["instances"]))]}
    return peer.answer(peer.run([peer.item(row)])[0])


@app.post("/image")
async def image(request: Request) -> Any:
    body = await request.body()
    return peer.answer(peer.run([peer.item(body)])[0])


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
