"""The ROS 2 side: the node around the engine, and the player of bags. Nothing else imports rclpy."""
