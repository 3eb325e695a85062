"""Attention.

Reading order, from the formula to a fused kernel: naive, numpy_formula, numpy_online, numba_loops, numba_tiled,
numba_flash.
"""
