"""Encoders of text as transformers has them, with weights from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import BertConfig, BertModel

if TYPE_CHECKING:
    from torch import nn


def bert_base() -> nn.Module:
    """INT64 (batch, length) to FP32 (batch, length, 768) and (batch, 768); 110 million weights."""
    return BertModel(BertConfig())


def minilm() -> nn.Module:
    """The shape of all-MiniLM-L6-v2: 6 layers, 384 wide; 23 million weights."""
    return BertModel(
        BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
        )
    )
