"""The demo's handler: text in, sentence embeddings out, the tokenizer inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class SentenceHandler:
    """Runs a SentenceTransformer on a list of sentences."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def inference(self, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Return the embedding of each sentence, shape (sentences, 384), FP32."""
        embedding = self.model.encode(
            inputs["text"], convert_to_tensor=True, show_progress_bar=False
        )
        return {"embedding": embedding}
