"""Gradients of wrapped phase: stacked by direct sum, with standard errors, and integrated without unwrapping."""
