"""Other people's arrays become a checkpoint: .npy, .npz, .safetensors, HDF5, CSV and Parquet.

Nothing is unpickled. Large arrays are mapped, not loaded, where the file keeps them plain.
"""

from nccli.importing.assembling import Wanted, import_checkpoint

__all__ = ["Wanted", "import_checkpoint"]
