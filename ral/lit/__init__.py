"""Wrappers for Lightning: the module, the data, callbacks, loggers, and the strategy of sharded weights."""
