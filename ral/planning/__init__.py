"""What a run will take, before it starts: memory, time and disk from configuration and file headers (docs/planning.md)."""
