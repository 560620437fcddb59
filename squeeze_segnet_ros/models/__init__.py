"""Every network there is, by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from squeeze_segnet_ros.errors import UnknownModelError
from squeeze_segnet_ros.models.enet import enet
from squeeze_segnet_ros.models.fcn2s_dilated import fcn2s_dilated_vgg16, fcn2s_dilated_vgg19
from squeeze_segnet_ros.models.segnet import segnet, segnet_basic
from squeeze_segnet_ros.models.squeeze_segnet import squeeze_segnet, squeeze_segnet_v11

_NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "squeeze_segnet": squeeze_segnet,
    "squeeze_segnet_v11": squeeze_segnet_v11,
    "segnet": segnet,
    "segnet_basic": segnet_basic,
    "enet": enet,
    "fcn2s_dilated_vgg16": fcn2s_dilated_vgg16,
    "fcn2s_dilated_vgg19": fcn2s_dilated_vgg19,
}


def names() -> tuple[str, ...]:
    """Return the names of all networks, in the order in which tables list them."""
    return tuple(_NETWORKS)


def check(name: str) -> None:
    """Raise UnknownModelError when there is no network of that name."""
    if name not in _NETWORKS:
        raise UnknownModelError(name, names())


def build(name: str, num_classes: int = 11) -> nn.Module:
    """Return a network with fresh parameters.

    It maps float (N, 3, H, W), RGB normalized as :mod:`squeeze_segnet_ros.images.pixels` does, with
    H and W of at least 32, to logits (N, num_classes, H, W).

    Raises:
        UnknownModelError: there is no network of that name.
        ValueError: ``num_classes`` is not in 1..255.
    """
    check(name)
    if not 1 <= num_classes <= 255:
        raise ValueError(f"num_classes is {num_classes}: a uint8 label image holds 1 to 255 classes")
    return _NETWORKS[name](num_classes)
