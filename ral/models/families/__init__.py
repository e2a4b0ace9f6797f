"""One file a family, named after the model_type of config.json; each defines FAMILY (ral.models.registry)."""
