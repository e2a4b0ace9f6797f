"""Where responses come from: sampled by the policy, or given by the dataset."""
