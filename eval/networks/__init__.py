"""The published networks that look at images: two Inceptions, and any object detector."""
