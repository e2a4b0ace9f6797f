"""Actions around the steps of a run. Callbacks read the module and the run's state; ral.run says their order."""
