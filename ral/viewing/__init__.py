"""The viewer of attention: questions and checkpoints -> attention rows -> explore.html."""
