"""A decoder of the shape of GPT-2 small, which writes text with a cache of keys and values."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

VOCABULARY = 50257
POSITIONS = 1024
WIDTH = 768
HEADS = 12
LAYERS = 12
NEW_TOKENS = 4


class Gpt2(nn.Module):
    """Greedy decoding: the prompt in one step, then a step for each further token.

    Args:
        layers: Their number; 124 million weights with the 12 of GPT-2 small.
        new_tokens: How many a call writes.
    """

    def __init__(self, layers: int = LAYERS, new_tokens: int = NEW_TOKENS) -> None:
        super().__init__()
        self.new_tokens = new_tokens
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.blocks = nn.ModuleList(_Block() for _ in range(layers))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, prompt: torch.Tensor) -> torch.Tensor:
        """INT64 (batch, length) to the logits of each written token.

        Returns:
            FP32 (batch, new_tokens, VOCABULARY).
        """
        caches: list[tuple[torch.Tensor, torch.Tensor]] = []
        start = prompt.shape[1]
        hidden = self.tokens(prompt) + self.positions(torch.arange(start, device=prompt.device))
        for block in self.blocks:
            hidden, keys, values = block.begin(hidden)
            caches.append((keys, values))
        written = [self._logits(hidden)]
        for position in range(start, start + self.new_tokens - 1):
            hidden = self.tokens(written[-1].argmax(-1, keepdim=True))
            hidden = hidden + self.positions.weight[position]
            for index, block in enumerate(self.blocks):
                hidden, keys, values = block.extend(hidden, caches[index][0], caches[index][1])
                caches[index] = (keys, values)
            written.append(self._logits(hidden))
        return torch.stack(written, 1)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return functional.linear(self.norm(hidden[:, -1]), self.tokens.weight)


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH)
        self.after_attention = nn.Linear(WIDTH, WIDTH)
        self.before_perceptron = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)

    def begin(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All of the prompt; with the keys and values of it."""
        queries, keys, values = self._projected(hidden)
        attended = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        return self._finished(hidden, attended), keys, values

    def extend(
        self, hidden: torch.Tensor, past_keys: torch.Tensor, past_values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One more token; with the keys and values of all so far."""
        queries, keys, values = self._projected(hidden)
        keys = torch.cat([past_keys, keys], 2)
        values = torch.cat([past_values, values], 2)
        attended = functional.scaled_dot_product_attention(queries, keys, values)
        return self._finished(hidden, attended), keys, values

    def _projected(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        batch, length = hidden.shape[0], hidden.shape[1]
        projected = self.queries_keys_values(self.before_attention(hidden))
        heads = projected.view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        return heads[0], heads[1], heads[2]

    def _finished(self, hidden: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        merged = attended.transpose(1, 2).reshape(hidden.shape)
        hidden = hidden + self.after_attention(merged)
        inner = functional.gelu(self.widen(self.before_perceptron(hidden)), approximate="tanh")
        return hidden + self.narrow(inner)
