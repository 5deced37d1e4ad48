"""The front door: deliveries in, journalled events out; and the operators' HTTP API."""
