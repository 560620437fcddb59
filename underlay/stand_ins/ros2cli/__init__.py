"""Stand-in for the command `ros2`, of which there is no wheel: the part that squeeze_segnet_ros uses."""
