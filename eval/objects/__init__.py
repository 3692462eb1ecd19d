"""Which objects captions name, for SOA."""
