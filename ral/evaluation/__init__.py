"""Evaluation: held-out prompts, benchmarks, questions that share their media."""
