"""Pushes a job with the PyPI package faktory, unmodified, and works on it.

    pip install faktory && FAKTORY_URL=tcp://127.0.0.1:7419 python first_job.py
"""
import logging

from faktory import Client, Worker

logging.basicConfig(level=logging.INFO)


def greet(name):
    print(f"hello, {name}", flush=True)


with Client() as client:
    client.queue("greet", args=["world"])

worker = Worker(queues=["default"], concurrency=1, use_threads=True)
worker.register("greet", greet)
worker.run()  # until Ctrl-C
