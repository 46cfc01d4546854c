"""The processes that are measured, each started as `python -m benchmarks.servers.<name>`."""
