"""GPUs: NVIDIA's driver, devices, the run-time compiler, and what rules of operators say about launches."""
