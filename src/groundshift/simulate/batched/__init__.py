"""Whole batches of scenes with known truth, made with torch on a processor or a graphics card."""
