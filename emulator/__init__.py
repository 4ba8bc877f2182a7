"""People posting: rows of the source database, sent as the well-known script sends them."""
