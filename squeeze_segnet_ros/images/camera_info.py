"""A camera's calibration for its labels, in CameraInfo messages of ROS or of ``rosbags``."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np


def camera_info_of_label(
    header: Any,
    info: Any,
    image_size: tuple[int, ...] | None = None,
    label_size: tuple[int, ...] | None = None,
) -> Any:
    """Return the camera's own calibration with ``header``, for labels of ``label_size``.

    It is passed on as it is where its size, region of interest and binning explain the image. Otherwise what
    is left is scaled, and region and binning, which would apply to another size, are folded in and cleared.

    Args:
        header: that of the frame.
        info: the camera's own.
        image_size: height and width of the image, None where it was not looked at.
        label_size: height and width of the label image, None for the image's.
    """
    message = copy.copy(info)
    message.header = header
    if image_size is None or not info.width or not info.height:
        return message
    size, wanted = image_size[1::-1], (label_size or image_size)[1::-1]
    whole, roi = (0, 0, info.width, info.height), info.roi
    cropped = (roi.x_offset, roi.y_offset, roi.width, roi.height) if roi.width and roi.height else whole
    binning = max(1, info.binning_x), max(1, info.binning_y)
    if (info.width, info.height) == size:
        # Drivers that bin or crop, and say the image's own size, give the image's calibration too.
        region, step, as_is = whole, (1, 1), True
    else:
        explained = [
            area for area in (cropped, whole) if (area[2] // binning[0], area[3] // binning[1]) == size
        ]
        region = (explained or [cropped])[0]
        step = binning if explained else (region[2] / size[0], region[3] / size[1])
        as_is = region == cropped and bool(explained)
    if as_is and size == wanted:
        return message
    across, down = wanted[0] / size[0] / step[0], wanted[1] / size[1] / step[1]
    fold = np.array([[across, 0, -region[0] * across], [0, down, -region[1] * down], [0, 0, 1]])
    message.width, message.height = wanted
    message.k = (fold @ np.asarray(info.k).reshape(3, 3)).ravel()
    message.p = (fold @ np.asarray(info.p).reshape(3, 4)).ravel()
    message.binning_x = message.binning_y = 0
    message.roi = copy.copy(roi)
    message.roi.x_offset = message.roi.y_offset = message.roi.width = message.roi.height = 0
    return message
