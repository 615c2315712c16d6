"""A small Vision Transformer for small images (Dosovitskiy et al. 2021; averaging instead of a
class token, as Beyer et al. 2022 have it)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

GRID = 8  # patches along a side: 4 pixels of 32; an 8 x 8 digit has 4 patches of 2 along a side
SMALLEST_PATCH = 2
HEAD = 32  # width of an attention head
FEED_FORWARD = 2  # hidden width of the MLP, in widths; 4 is usual for larger ones
EMBEDDING_SCALE = 0.02  # standard deviation of the position embedding at the start


class Attention(nn.Module):
    """Self-attention of tokens (N, T, d)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD) if width % HEAD == 0 else width // 8
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, T, d)."""
        count, length, width = tokens.shape
        parts = self.inputs(tokens).view(count, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.output(mixed.transpose(1, 2).reshape(count, length, width))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention, then an MLP, each behind a LayerNorm and beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width))
        hidden = FEED_FORWARD * width
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, T, d)."""
        tokens = tokens + self.attention(tokens)
        return tokens + self.mlp(tokens)  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Patches, position embedding, blocks, LayerNorm and the mean over the patches."""

    def __init__(self, *, shape: tuple[int, int, int], width: int, depth: int) -> None:
        super().__init__()
        channels, side, _ = shape
        patch = max(SMALLEST_PATCH, side // GRID)
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        length = (side // patch) ** 2
        self.positions = nn.Parameter(EMBEDDING_SCALE * torch.randn(1, length, width))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, width) of images (N, C, H, W)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        return self.norm(self.blocks(tokens)).mean(dim=1)  # type: ignore[no-any-return]


def vit_body(*, shape: tuple[int, int, int], width: int, depth: int) -> nn.Module:
    """Return the transformer without its classifier; its features may be negative."""
    return Transformer(shape=shape, width=width, depth=depth)
