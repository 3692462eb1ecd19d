"""The published image networks behind the metrics: two Inceptions, and any object detector."""
