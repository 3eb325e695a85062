"""Numba kernels, imported only by the worker that runs them."""
