"""The multi-head layer: projections, attention for each head, and one more projection."""
