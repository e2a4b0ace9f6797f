"""The attention term of RAL in other people's trainers; each adapter is an extra of this package (docs/python.md)."""
