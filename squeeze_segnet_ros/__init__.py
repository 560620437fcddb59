"""Semantic segmentation of camera images with Squeeze-SegNet and its peers, in Python and as a ROS 2 node.

    import squeeze_segnet_ros as ssr
    net = ssr.load()
    labels = net(image)        # uint8 (H, W, 3) RGB -> uint8 (H, W) class ids

Importing this package never imports ROS.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from squeeze_segnet_ros import models
    from squeeze_segnet_ros.engine import Request, Segmentation, Segmenter, load
    from squeeze_segnet_ros.view.figures import show

    __version__: str

# The generated messages lie in the workspace's copy of this package, wherever this copy lies.
__path__ = extend_path(__path__, __name__)

__all__ = ["Request", "Segmentation", "Segmenter", "__version__", "load", "models", "show"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    # PyTorch takes seconds to import; tools that need only labels or bags should not wait for it.
    if name == "models":
        return importlib.import_module("squeeze_segnet_ros.models")
    if name == "show":
        return importlib.import_module("squeeze_segnet_ros.view.figures").show
    if name in __all__:
        return getattr(importlib.import_module("squeeze_segnet_ros.engine"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    # Tab completion shows what there is for users, imported or not.
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def _version() -> str:
    # In a clone package.xml lies beside the package, in a workspace within it; pip keeps its own metadata.
    from importlib import metadata
    from xml.etree import ElementTree

    package = Path(__file__).resolve().parent
    for folder in (package.parent, package):
        if (folder / "package.xml").is_file():
            return str(ElementTree.parse(folder / "package.xml").findtext("version"))
    return metadata.version(__name__)
