"""How folders of images with captions are arranged: one module for each family of layouts, all with the same result."""
