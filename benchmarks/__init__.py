"""What things cost, as ratios to the bare frameworks on the same machine in the same run."""
