"""The published networks that look at pictures: two Inceptions, and any object detector."""
