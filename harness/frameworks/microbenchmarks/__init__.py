"""Kernels that do one thing as fast as the processor can, compiled by Numba. Import them in workers only."""
