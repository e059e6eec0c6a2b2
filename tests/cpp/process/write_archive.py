"""Write the archive of ending_test.cc: write_archive.py ARCHIVE."""

from __future__ import annotations

import sys
from pathlib import Path

from torch.package.package_exporter import PackageExporter

sys.path.append(str(Path(__file__).parents[2] / "python"))
import ending_model

with PackageExporter(sys.argv[1]) as exporter:
    exporter.intern("ending_model")
    exporter.extern("**")
    for function in (ending_model.say_last_words, ending_model.loop, ending_model.hold):
        exporter.save_pickle("model", function.__name__, function)
