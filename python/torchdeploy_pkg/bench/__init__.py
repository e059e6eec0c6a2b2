"""``torchdeploy bench``: one model, run in every way that there is, in turns. See docs/bench.md."""
