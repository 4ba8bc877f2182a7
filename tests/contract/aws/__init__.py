"""PROFILE=aws against a second far end: another account, region and port, over TLS."""
