"""Memory, time and disk of a run, from its configuration and headers of files, before it starts (docs/planning.md)."""
