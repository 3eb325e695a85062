"""Attention.

Reading order, from the formula to a fused kernel: naive, numba_loops, numpy_formula, numpy_online, numba_tiled, numba_flash.
The steps before numba_flash take half an hour to read, its five folders four hours. docs/kernels.md says what each changes.
"""
