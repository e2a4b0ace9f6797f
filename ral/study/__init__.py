"""The multi-seed study: plan, runs, statistics, claims, figures, page."""
