"""The paper's equations as pure functions of tensors. Nothing here knows of models, files, Lightning or Hydra."""
