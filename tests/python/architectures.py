"""Architectures of different shape, to be served with the same numbers as in plain Python.

Each entry builds a model in eval mode with seeded weights, one example and further inputs of
other extents. Inputs are a tuple by position or a dict by keyword, as for package().
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import own_models as own
import torch
import transformers
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

Inputs = Any
Built = tuple[nn.Module, Inputs, list[Inputs]]


@dataclass(frozen=True)
class Architecture:
    name: str
    make: Callable[[], Built]

    def build(self) -> Built:
        """Model, example inputs, further inputs."""
        torch.manual_seed(len(self.name))
        model, example, further = self.make()
        return model.eval(), example, further


_SMALL = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(3, 60, (batch, length))


def _masked(batch: int, length: int) -> dict[str, torch.Tensor]:
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[-1, length // 2 :] = 0
    return {"input_ids": _tokens(batch, length), "attention_mask": mask}


def _transformer(model: str, config: str, **settings: Any) -> Architecture:
    """A text model of transformers with small random weights."""

    def make() -> Built:
        made = getattr(transformers, config)(**{**_SMALL, **settings})
        built = getattr(transformers, model)(made)
        return built, _masked(2, 7), [_masked(1, 5), _masked(3, 12)]

    return Architecture(model, make)


def _causal(model: str, config: str, **settings: Any) -> Architecture:
    """The same for a language model, without its cache among the outputs."""
    return _transformer(model, config, use_cache=False, **settings)


def _encoder_decoder(model: str, config: str, **settings: Any) -> Architecture:
    def make() -> Built:
        built = getattr(transformers, model)(getattr(transformers, config)(**settings))

        def inputs(batch: int, source: int, target: int) -> Inputs:
            return {
                "input_ids": _tokens(batch, source),
                "decoder_input_ids": _tokens(batch, target),
            }

        return built, inputs(2, 7, 4), [inputs(1, 9, 2), inputs(3, 3, 5)]

    return Architecture(model, make)


def _vision(model: str, config: str, size: int = 32, **settings: Any) -> Architecture:
    def make() -> Built:
        made = getattr(transformers, config)(**{"image_size": size, "num_channels": 3, **settings})
        built = getattr(transformers, model)(made)
        images = [{"pixel_values": torch.randn(batch, 3, size, size)} for batch in (2, 1, 4)]
        return built, images[0], images[1:]

    return Architecture(model, make)


def _own(name: str, model: Callable[[], nn.Module], *inputs: Callable[[], Inputs]) -> Architecture:
    def make() -> Built:
        built = model()
        example, *further = (one() for one in inputs)
        return built, example, further

    return Architecture(name, make)


def _x(*shape: int) -> Callable[[], Inputs]:
    return lambda: (torch.randn(*shape),)


def _bf16_mlp() -> nn.Module:
    return own.Mlp().bfloat16()


def _quantized_linear() -> nn.Module:
    return nn.Sequential(own.Int8Weights(), nn.ReLU())


def _encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


_TRANSFORMERS = [
    _transformer("BertModel", "BertConfig"),
    _transformer("RobertaModel", "RobertaConfig"),
    _transformer("ElectraModel", "ElectraConfig", embedding_size=16),
    _transformer("AlbertModel", "AlbertConfig", embedding_size=8),
    _transformer(
        "DistilBertModel", "DistilBertConfig", dim=16, hidden_dim=32, n_layers=2, n_heads=2
    ),
    _transformer("DebertaV2Model", "DebertaV2Config", relative_attention=True),
    _transformer("CLIPTextModel", "CLIPTextConfig", eos_token_id=59),
    _causal("GPT2LMHeadModel", "GPT2Config", n_embd=16, n_layer=2, n_head=2, n_positions=64),
    _causal("LlamaForCausalLM", "LlamaConfig"),
    _causal("MistralForCausalLM", "MistralConfig", sliding_window=4),
    _causal("Qwen2ForCausalLM", "Qwen2Config"),
    _causal("GPTNeoXForCausalLM", "GPTNeoXConfig"),
    _causal("OPTForCausalLM", "OPTConfig", ffn_dim=32, word_embed_proj_dim=16),
    _causal("BloomForCausalLM", "BloomConfig", n_layer=2, n_head=2),
    _encoder_decoder(
        "T5Model",
        "T5Config",
        vocab_size=64,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        use_cache=False,
    ),
    _encoder_decoder(
        "BartModel",
        "BartConfig",
        vocab_size=64,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        use_cache=False,
    ),
    _vision(
        "ViTModel",
        "ViTConfig",
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    ),
    _vision("ResNetModel", "ResNetConfig", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]),
    _vision("ConvNextModel", "ConvNextConfig", hidden_sizes=[8, 16], depths=[1, 1], num_stages=2),
]

_OWN = [
    _own("Mlp", own.Mlp, _x(2, 8), _x(1, 8), _x(5, 8)),
    _own("EmptyBatch", own.Mlp, _x(3, 8), _x(0, 8)),
    _own("BFloat16", _bf16_mlp, lambda: (torch.randn(2, 8).bfloat16(),)),
    _own("DictOutput", own.DictOutput, _x(2, 6), _x(4, 6)),
    _own("TupleOutput", own.TupleOutput, _x(2, 6), _x(4, 6)),
    _own("NamedTupleOutput", own.NamedTupleOutput, _x(2, 5), _x(1, 5)),
    _own("DataclassOutput", own.DataclassOutput, _x(2, 3), _x(1, 3)),
    _own("InPlace", own.InPlace, _x(2, 3), _x(4, 3)),
    _own(
        "ControlFlow",
        own.ControlFlow,
        lambda: (torch.randn(2, 4), 3),
        lambda: (torch.ones(1, 4), 7),
    ),
    _own("Hooked", own.Hooked, _x(2, 4), _x(3, 4)),
    _own(
        "TiedWeights", own.TiedWeights, lambda: (_tokens(2, 5) % 50,), lambda: (_tokens(1, 9) % 50,)
    ),
    _own("Int8Weights", _quantized_linear, _x(2, 8), _x(6, 8)),
    _own("Spectrum", own.Spectrum, _x(2, 16), _x(1, 32)),
    _own("Lstm", own.Lstm, _x(2, 4, 5), _x(1, 9, 5)),
    _own("ConvNet", own.ConvNet, _x(2, 3, 16, 16), _x(1, 3, 20, 12)),
    _own(
        "Bag",
        own.Bag,
        lambda: {"tokens": torch.arange(10), "offsets": torch.tensor([0, 4, 7])},
        lambda: {"tokens": torch.arange(4), "offsets": torch.tensor([0, 2])},
    ),
    _own(
        "Nested",
        own.Nested,
        lambda: ({"a": torch.ones(2), "b": torch.ones(3)}, (torch.ones(2), torch.ones(3))),
        lambda: ({"a": torch.ones(5), "b": torch.ones(1)}, (torch.ones(5), torch.ones(1))),
    ),
    _own("TextLength", own.TextLength, lambda: (["a", "größer"],), lambda: (["x", "", "yz"],)),
    _own("Gradient", own.Gradient, _x(4, 3), _x(2, 3)),
    _own("Strided", own.Strided, _x(2, 3), _x(4, 5)),
    _own("ManyDtypes", own.ManyDtypes, lambda: (torch.arange(6).reshape(2, 3).float(),)),
    _own(
        "Attention",
        own.Attention,
        lambda: (torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])),
        lambda: (torch.randn(1, 3, 8), torch.zeros(1, 3, dtype=torch.bool)),
    ),
    _own("NumpyInside", own.NumpyInside, _x(2, 6), _x(1, 3)),
    _own("Statistics", own.Statistics, _x(4, 2), _x(8, 3)),
    _own("TransformerEncoder", _encoder, _x(2, 4, 8), _x(1, 6, 8)),
    _own("Sequential", lambda: nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1)), _x(2, 4), _x(9, 4)),
]

ARCHITECTURES = [*_TRANSFORMERS, *_OWN]
