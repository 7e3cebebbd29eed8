"""The API of the weather system: 202 says that Kafka and RabbitMQ have both stored the report.

Unlike the orders of the other files this is a closed model: people who wait for each answer, look at the sky for a
while, and send the next report. So the rate follows from the time of an answer, and no figure shows what would have come
while the system stood still. `run` starts 50 of them, 5 a second, for 2 minutes.

    HOSTS         addresses of several APIs, separated by commas; the users are shared out to them in turn
    PAUSE_S       shortest and longest pause between two reports of a user (default `0.1,0.9`); `0,0` for none
    SEED          of countries, kinds and pauses (default 42)
"""

import itertools
import os
import random
import uuid

from locust import FastHttpUser, task

COUNTRIES = ["BR", "CL", "CO", "CR", "DE", "ES", "FR", "GB", "GT", "HN", "IT", "JP", "KE", "MX", "NI", "PA", "PE", "SV", "US", "UY"]
KINDS = ["sunny", "cloudy", "rainy", "stormy", "foggy", "windy"]


class Weather(FastHttpUser):
    """Sends one report after the other."""

    host = "http://127.0.0.1:8080"
    connection_timeout = 3
    network_timeout = 12

    numbers = itertools.count()
    test = uuid.uuid4().hex[:12]
    hosts = [host for host in os.environ.get("HOSTS", "").split(",") if host]
    pause_s = [float(seconds) for seconds in os.environ.get("PAUSE_S", "0.1,0.9").split(",")]

    def __init__(self, environment):
        self.number = next(self.numbers)
        if self.hosts:
            self.host = self.hosts[self.number % len(self.hosts)]
        self.random = random.Random(int(os.environ.get("SEED", "42")) + self.number)
        self.sent = 0
        super().__init__(environment)

    def wait_time(self):
        return self.random.uniform(*self.pause_s)

    @task
    def report(self):
        self.sent += 1
        report = {
            "description": "what a user sees",
            "country": self.random.choice(COUNTRIES),
            "weather": self.random.choice(KINDS),
        }
        key = f"locust-{self.test}-{self.number}-{self.sent}"
        with self.client.post(
            "/weather", json=report, headers={"Idempotency-Key": key}, catch_response=True
        ) as answer:
            if answer.status_code != 202:
                answer.failure(f"{answer.status_code} instead of 202")
