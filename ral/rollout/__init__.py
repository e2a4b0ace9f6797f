"""Sources of responses: a rollout engine that samples them, or the dataset that gives them."""
