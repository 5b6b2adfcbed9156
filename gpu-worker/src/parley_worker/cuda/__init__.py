"""The executor for CUDA devices: Triton kernels, CUDA graphs, and a runner that keeps the device a step ahead."""
