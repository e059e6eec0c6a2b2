"""``python -m torchdeploy_pkg``: the same as ``torchdeploy``."""

from __future__ import annotations

from torchdeploy_pkg.cli import main

if __name__ == "__main__":
    main()
