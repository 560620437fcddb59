"""Label recordings without a graph: bags, pictures and films in, labels out, exactly one for each frame.

``label`` is the way of one run; ``pipeline`` keeps the engine busy; ``sources`` give frames, ``sinks`` take
labels; ``fleet`` spreads bags over machines. Nothing here imports rclpy.
"""
