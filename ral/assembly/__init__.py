"""From a checked configuration to the objects of a run: networks, data, and the parts of a step."""
