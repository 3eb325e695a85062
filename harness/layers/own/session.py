"""The worker in which a layer of one's own is looked at, so that no framework is imported where commands run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.layers.own.examined import Examined, OwnLayer
from harness.layers.own.place import Place
from harness.workers.messages import Request


class LayerSession:
    """Opened with where the layer is; what it takes is the first and only answer."""

    def __init__(self, location: str):
        self._examined = OwnLayer(Place.parse(location)).examined()

    @property
    def ready(self) -> Examined:
        """What the layer takes."""
        return self._examined

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {}
