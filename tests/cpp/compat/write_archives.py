"""Writes the archives that the tests of torch::deploy's API load: write_archives.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from packaged_model import Scaler
from torch.package import PackageExporter

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for word in ("one", "two"):
    with PackageExporter(folder / f"{word}.pt") as exporter:
        exporter.intern("packaged_model")
        exporter.extern("torch.**")
        exporter.save_pickle("model", "model.pkl", Scaler())
        exporter.save_source_string("words", f"word = '{word}'\n")
        exporter.save_text("notes", "greeting.txt", "grüß dich")
        exporter.save_binary("notes", "bytes.bin", b"\x00\x01\xff")
