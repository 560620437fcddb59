"""Which topics of a bag are cameras."""

from __future__ import annotations

from squeeze_segnet_ros.bags.cameras import cameras_in
from squeeze_segnet_ros.bags.messages import COMPRESSED_IMAGE, IMAGE

FRONT, REAR = "/camera/front/image_raw", "/camera/rear/image_raw"


def test_label_images_are_no_cameras() -> None:
    topics = {
        FRONT: IMAGE,
        "/camera/front/segmentation/label": IMAGE,
        "/camera/front/segmentation/label/compressed": COMPRESSED_IMAGE,
        "/camera/front/label_truth_raw": IMAGE,
        f"{REAR}/compressed": COMPRESSED_IMAGE,
        f"{REAR}/compressedDepth": COMPRESSED_IMAGE,
        "/camera/front/label_truth": COMPRESSED_IMAGE,
        "/lidar": "sensor_msgs/msg/PointCloud2",
    }
    found = cameras_in(topics)
    assert (found.raw, found.compressed) == ({FRONT: FRONT}, {REAR: f"{REAR}/compressed"})
    assert found.names == (FRONT, REAR)
