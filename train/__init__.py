"""The experiments: cross-entropy against label smoothing, in PyTorch."""
