"""Speed of models, input pipelines and augmentation operations, compared with other implementations."""
