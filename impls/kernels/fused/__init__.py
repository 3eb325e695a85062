"""A fused kernel in vectors, being written: its parts are here, its driver is not, and nothing uses it yet."""
