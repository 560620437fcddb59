"""Read, write and describe ROS 2 bags (mcap and sqlite3) without a ROS 2 installation.

Built on the ``rosbags`` library; nothing here imports rclpy or torch. Times are integers in nanoseconds
since the epoch; a range includes its start and excludes its end.
"""

from squeeze_segnet_ros.bags.reader import BagReader, Topic, open_bag
from squeeze_segnet_ros.bags.writer import BagWriter

__all__ = ["BagReader", "BagWriter", "Topic", "open_bag"]
