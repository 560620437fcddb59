"""How well labels agree with the truth."""
