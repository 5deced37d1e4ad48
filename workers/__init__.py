"""When and where it is done: Celery tasks, retries and the sweep. Nothing here knows of models."""
