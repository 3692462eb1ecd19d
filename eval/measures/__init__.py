"""What is measured of images: one module for each network that looks at them."""
