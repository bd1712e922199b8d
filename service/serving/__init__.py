"""The models that are live, and a request's life: admission, body, queue, batch; metrics."""
