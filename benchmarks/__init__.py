"""Measures what the library costs; `python -m benchmarks` prints the table of docs/benchmarks.md."""
