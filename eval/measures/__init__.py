"""What is measured of pictures: one module for each network that looks at them."""
