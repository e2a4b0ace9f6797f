"""End-to-end checks that a person starts by hand: kills, long runs, seeded faults, GPUs, whole datasets."""
