"""What a run will take, before it starts: memory, time and disk by configuration and headers (docs/planning.md)."""
