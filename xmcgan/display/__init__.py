"""Display of images: grids, heat maps of attention, and the demo page."""
