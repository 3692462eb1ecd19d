"""Images as people look at them: grids, heat maps of attention, and the page of the demo."""
