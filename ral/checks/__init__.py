"""End-to-end checks that a person runs by hand: kills, long runs, seeded faults, GPUs, whole datasets."""
