"""Lightning shells: they move data between the pure parts and own nothing but the order of a step."""
