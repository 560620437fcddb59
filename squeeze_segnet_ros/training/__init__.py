"""Training and evaluation: plain PyTorch functions over in-memory data."""
