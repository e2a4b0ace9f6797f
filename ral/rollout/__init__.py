"""Where responses come from: a rollout engine that samples them, or the dataset that gives them."""
