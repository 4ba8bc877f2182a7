"""The files of the EC2 client, read by what will read them."""
