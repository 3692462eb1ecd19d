"""The paper's figures of images."""
