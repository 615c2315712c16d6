"""The process that opens files, and how to ask it.

`asking` and `limits` are the near side. The rest runs in the other process, and is the only code
of nccli that imports h5py to read; `nccli.hdf5` makes checkpoints of what it answers.
"""
