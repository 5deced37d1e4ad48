"""The journal: the durable record of deliveries, events, dispatches, and of what was observed."""
