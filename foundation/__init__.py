"""The base of everything else: profile, errors, clients, service contract, waiting, retrying, supervised loops."""
