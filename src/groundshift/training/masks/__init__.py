"""Networks that tell coherent ground from decorrelated ground: what they learn from, and how they are judged."""
