"""Offset tracking: images laid over each other on the ground, matched, and their network inverted."""
