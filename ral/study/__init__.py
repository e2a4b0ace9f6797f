"""The multi-seed study: plan, statistics, claims, figures, page."""
