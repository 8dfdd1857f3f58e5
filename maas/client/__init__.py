"""Talking to a served model. Importing this costs neither torch nor numpy."""

from maas.client._answers import Prediction, Predictions
from maas.client._async_client import AsyncClient
from maas.client._client import Client
from maas.client._core import DESCRIPTION, IDENTITY, ROUTE, V2_METADATA
from maas.client._local import LocalFront, LocalServer, folder_of_servers, running_servers

__all__ = [
    "DESCRIPTION",
    "IDENTITY",
    "ROUTE",
    "V2_METADATA",
    "AsyncClient",
    "Client",
    "LocalFront",
    "LocalServer",
    "Prediction",
    "Predictions",
    "folder_of_servers",
    "running_servers",
]
