"""Published benchmarks: their files -> questions, responses -> the score of their authors."""
