"""Reads text encoders from the folders in which Hugging Face's `transformers` stores them."""
