"""Networks of well-known shapes, from code and a seed: what the benchmarks run."""
