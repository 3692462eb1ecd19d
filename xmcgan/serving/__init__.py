"""The way of a model to its users: SavedModels with all their signatures, for TensorFlow Serving and others."""
