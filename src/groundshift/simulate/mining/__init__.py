"""Interferograms over mines, batched in torch: distorted bowls that grow and wander, and what hides them."""
