"""The main job as a user runs it, looked at from outside."""
