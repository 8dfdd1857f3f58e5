"""Talking to a served model. Importing this costs neither torch nor numpy."""

from maas.client._client import DESCRIPTION, IDENTITY, Client, Prediction, Predictions
from maas.client._local import LocalServer, folder_of_servers, running_servers

__all__ = [
    "DESCRIPTION",
    "IDENTITY",
    "Client",
    "LocalServer",
    "Prediction",
    "Predictions",
    "folder_of_servers",
    "running_servers",
]
