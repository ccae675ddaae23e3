"""Guided attention on the GPU by Triton kernels."""
