"""From a rollout to an update: experience, gradients, metrics. Imports no Lightning."""
