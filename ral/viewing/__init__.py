"""The viewer of attention, from questions and checkpoints over attention rows to explore.html."""
