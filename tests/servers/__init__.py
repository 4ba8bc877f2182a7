"""What starts servers for tests: their processes, ports and profiles, each written once."""
