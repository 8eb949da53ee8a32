"""Zones of fast slides with known truth, to make sets of patches of."""
