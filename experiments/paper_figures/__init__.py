"""Figures of images, like the paper's."""
