"""Triton kernels, each beside the function that launches it. They run on CUDA, and on a CPU in Triton's interpreter."""
