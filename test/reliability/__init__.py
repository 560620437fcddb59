"""What the node does under load, faults and bad input, measured on the real thing.

python3 -m reliability [CHECK ...]
"""
