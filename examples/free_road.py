"""Tell how much of what lies ahead is road, from the node's labels: ``python examples/free_road.py``."""

import numpy as np
import rclpy
from cv_bridge import CvBridge
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo

OUTPUTS = "/camera/front/segmentation"
ids = {}
rclpy.init()
node = rclpy.create_node("free_road")


def learn(info: LabelInfo) -> None:
    ids.update({each.class_name: each.class_id for each in info.class_map})


def look(image: Image) -> None:
    labels = CvBridge().imgmsg_to_cv2(image)
    ahead = labels[2 * image.height // 3 :, image.width // 3 : 2 * image.width // 3]
    print(f"{np.mean(ahead == ids.get('road')):.0%} road ahead", flush=True)


latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
node.create_subscription(LabelInfo, f"{OUTPUTS}/label_info", learn, latched)
node.create_subscription(Image, f"{OUTPUTS}/label", look, 5)
rclpy.spin(node)
