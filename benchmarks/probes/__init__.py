"""What measures itself from within: `python -m benchmarks.probes.<name> PLAN.json` prints JSON."""
