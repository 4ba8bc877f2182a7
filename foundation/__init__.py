"""What everything stands on: profile, errors, clients, the service contract, waiting, retrying, supervised loops."""
