"""Run as a program, in a process that has neither this package nor the models' source.

For each FOLDER/NAME.pt reads FOLDER/NAME.inputs, a list of inputs by name, calls the entry
with each, and writes the list of answers to FOLDER/NAME.answers.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import torch
from torch.package.package_importer import PackageImporter


def main() -> None:
    torch.set_num_threads(1)
    for archive in sorted(Path(sys.argv[1]).glob("*.pt")):
        entry = PackageImporter(str(archive)).load_pickle("torchdeploy", "entry.pkl")
        inputs = torch.load(archive.with_suffix(".inputs"), weights_only=False)
        # A copy: an answer may alias a buffer that the next call writes to.
        answers = [copy.deepcopy(entry(**one)) for one in inputs]
        torch.save(answers, archive.with_suffix(".answers"))


if __name__ == "__main__":
    main()
