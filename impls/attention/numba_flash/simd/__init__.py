"""Vectors in LLVM IR, and the micro-kernels made of them: addresses in, addresses out, no problem in sight."""
