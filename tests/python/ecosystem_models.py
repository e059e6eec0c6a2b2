"""Models that use what the Python world offers; each is called with a number and returns one."""

# Imports stand where a model's author would put them when only one method needs them: a package
# must work also when it is first imported in a call, in two interpreters at once.

from __future__ import annotations

import torch


def numpy(x: float) -> float:
    import numpy as np

    matrix = np.random.default_rng(0).normal(size=(50, 50))
    return float(np.linalg.svd(matrix)[1].sum()) * x


def scipy(x: float) -> float:
    import scipy.fft
    import scipy.linalg
    import scipy.optimize
    import scipy.sparse
    import scipy.stats

    found = scipy.optimize.minimize(lambda v: float(((v - 3) ** 2).sum()), [0.0, 1.0])
    sparse = scipy.sparse.eye(3).tocsr().sum()
    spectrum = abs(scipy.fft.fft([1.0, 2.0, 3.0])).sum()
    return float(found.x.sum() + scipy.stats.norm.cdf(x) + spectrum + sparse)


def scikit_learn(x: float) -> float:
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.ensemble import RandomForestClassifier

    points = np.random.default_rng(0).normal(size=(100, 4))
    forest = RandomForestClassifier(10, random_state=0, n_jobs=2)
    positive = forest.fit(points, points[:, 0] > x).predict(points).sum()
    return float(positive + KMeans(3, random_state=0, n_init=2).fit(points).inertia_)


def pandas(x: float) -> float:
    import io

    import pandas as pd

    frame = pd.read_csv(io.StringIO(f"a,b\n1,{x}\n3,4\n1,5\n"))
    return float(frame.groupby("a").sum().to_numpy().sum() + frame.describe().loc["mean", "b"])


def pillow(x: float) -> float:
    import io

    import numpy as np
    from PIL import Image

    pixels = (np.arange(64 * 64 * 3) * int(x) % 255).astype("uint8").reshape(64, 64, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return float(np.asarray(Image.open(file).resize((8, 8))).sum())


def h5py(x: float) -> float:
    import io

    import h5py as h5
    import numpy as np

    with h5.File(io.BytesIO(), "w") as file:
        file["a"] = np.arange(10) * x
        return float(file["a"][3:].sum())


def yaml(x: float) -> float:
    import yaml as y

    return float(y.load(f"a: [1, {x}]", Loader=y.CSafeLoader)["a"][1])


def tokenizers(x: float) -> float:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(["hello world"] * 50, trainers.BpeTrainer(vocab_size=60))
    return sum(len(encoded.ids) for encoded in tokenizer.encode_batch(["hello world"] * 8)) * x


def transformers(x: float) -> float:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    model = BertModel(config).eval()
    with torch.no_grad():
        return float(model(torch.full((1, 5), int(x))).last_hidden_state.abs().sum())


def _small() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU()).eval()


def compiled(x: float) -> float:
    model = _small()
    rows = torch.full((2, 8), x)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model)(rows), model(rows))
        return float(model(rows).sum())


def exported(x: float) -> float:
    model = _small()
    rows = torch.full((2, 8), x)
    program = torch.export.export(model, (rows,))
    return float(program.module()(rows).sum())


def jit(x: float) -> float:
    model = _small()
    rows = torch.full((2, 8), x)
    traced = torch.jit.trace(model, rows)
    scripted = torch.jit.script(model)
    return float((traced(rows) + scripted(rows)).sum())


def cpp_extension(x: float) -> float:
    from torch.utils.cpp_extension import load_inline

    source = """
        #include <torch/extension.h>
        torch::Tensor triple(torch::Tensor x) { return x * 3; }
    """
    extension = load_inline("td_triple", source, functions=["triple"], extra_cflags=["-O0"])
    return float(extension.triple(torch.full((2,), x)).sum())


def threads(x: float) -> float:
    import threading

    sums: list[float] = []

    def add(i: int) -> None:
        sums.append(float(torch.full((100,), i * x).sum()))

    workers = [threading.Thread(target=add, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(sorted(sums))


def subprocesses(x: float) -> float:
    import subprocess
    import sys

    command = [sys.executable, "-c", f"import json; print({x})"]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def workers_of_a_data_loader(x: float) -> float:
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(torch.arange(3) * x), batch_size=2, num_workers=1)
    return sum(float(rows.sum()) for (rows,) in loader)


def coroutines(x: float) -> float:
    import asyncio

    async def ask() -> float:
        process = await asyncio.create_subprocess_exec("echo", str(x), stdout=-1)
        output, _ = await process.communicate()
        await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(3)))
        return float(output)

    return asyncio.run(ask())


def gradients(x: float) -> float:
    weight = torch.full((3,), x, requires_grad=True)
    with torch.enable_grad():
        (weight * weight).sum().backward()
    assert weight.grad is not None
    return float(weight.grad.sum())


MODELS = (
    *(numpy, scipy, scikit_learn, pandas, pillow, h5py, yaml, tokenizers, transformers),
    *(compiled, exported, jit, cpp_extension, gradients),
    *(threads, subprocesses, workers_of_a_data_loader, coroutines),
)
