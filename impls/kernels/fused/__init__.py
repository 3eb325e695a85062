"""Attention in vectors, compiled by Numba for the host: `attention.Fused` is what `numba-flash` calls."""
