"""What every kernel needs of Numba and of the processor: addresses, calls, threads and the cache of compiled code."""
