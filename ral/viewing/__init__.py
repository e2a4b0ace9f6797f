"""The viewer of attention: questions and checkpoints -> rows -> explore.html."""
