"""One module per sender: each verifies a delivery and parses it into news."""
