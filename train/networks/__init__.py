"""The networks: `features(x)` is what the last layer sees, `classifier` is the last layer."""

from train.networks.network import Network, make_network

__all__ = ["Network", "make_network"]
