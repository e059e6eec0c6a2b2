"""Write a C++ source that holds a text file: embed_text.py VARIABLE FILE OUTPUT."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Write the source, one line of bytes for each line of text."""
    variable, file, output = sys.argv[1:]
    data = Path(file).read_bytes()
    rows = [", ".join(map(str, line)) + "," for line in data.splitlines(keepends=True)]
    Path(output).write_text(
        "#include <string_view>\n\n"
        "namespace torchdeploy {\n"
        f"extern const std::string_view {variable};\n"
        "namespace {\n"
        "constexpr char kText[] = {\n" + "\n".join(rows) + "\n0};\n"
        "}  // namespace\n"
        f"const std::string_view {variable}(kText, sizeof kText - 1);\n"
        "}  // namespace torchdeploy\n"
    )


if __name__ == "__main__":
    main()
