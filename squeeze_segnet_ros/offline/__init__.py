"""Label recordings without a graph: bags, pictures and films in, labels out, exactly one for each frame.

``label`` is the way of one run; ``pipeline`` keeps the engine busy; ``sources`` give frames, ``sinks`` take
labels; ``fleet`` spreads bags over machines. Nothing here imports rclpy.
"""

from squeeze_segnet_ros.topics import LABEL_INFO, LABEL_PNG, STATS

BATCH = 8
"""Frames that go through the network together, as in the node."""
DEFAULT_OUTPUTS = (LABEL_PNG, LABEL_INFO, STATS)
"""What is written into a bag of labels."""
