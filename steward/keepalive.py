"""How long our clients keep an idle connection: shorter than uvicorn, which closes it after 5 s.

Whoever sends a request on a connection that is being closed gets a reset for an answer.
"""

KEEPALIVE_SECONDS = 2.0
