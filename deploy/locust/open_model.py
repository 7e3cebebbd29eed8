"""Orders at planned times, whatever became of those before: the open model.

Locust's own pacing is a closed loop. A user of `constant_throughput(10)` begins at most 10 tasks a second, but waits
for each answer before it begins the next: when the service stands still, it sends nothing, and the orders that would
have come meanwhile are missing from the percentiles. Here one user only keeps the time. Each request is a greenlet of
its own, begun at its planned moment, and its time counts from that moment.

    ORDERS_PER_S  orders a second (default 20)
    ARRIVALS      `poisson`, as independent customers come (default), or `constant`
    SEED          of gaps and items (default 42)
    ITEMS         names on the menu, separated by commas

Two lines of the report: `POST /order` is the time from the planned moment to the answer, and `send delay` the part of
it that this program was late. When 1 % of the send delays are longer than a tenth of the median time to the answer,
and longer than 2 ms, Locust was the bottleneck, and the figures say nothing; the run then ends with exit code 4.
"""

import logging
import os
import random
import time
import uuid

import gevent
from locust import FastHttpUser, constant, events, task
from locust.runners import STATE_CLEANUP, STATE_STOPPED, STATE_STOPPING

# Requests under way at a time. One more is not sent, and counted as a failure of its own name.
UNDER_WAY_MAX = 900
ANSWER_MAX_S = 12
SEND_DELAY_SHARE_MAX = 0.1
SEND_DELAY_FLOOR_MS = 2.0
BOTTLENECK_EXIT = 4

DELAY = ("PACE", "send delay")
ORDER = ("POST", "/order")


class OpenModelUser(FastHttpUser):
    """Sends orders; a subclass says which answer accepts one, and where the service is."""

    abstract = True
    fixed_count = 1  # more users would not be more customers: the rate is set by ORDERS_PER_S
    wait_time = constant(0)
    concurrency = UNDER_WAY_MAX
    connection_timeout = 3
    network_timeout = ANSWER_MAX_S

    accepts = 202

    def on_start(self):
        self.rate = float(os.environ.get("ORDERS_PER_S", "20"))
        self.is_constant = os.environ.get("ARRIVALS", "poisson") == "constant"
        self.random = random.Random(int(os.environ.get("SEED", "42")))
        self.items = os.environ.get("ITEMS", "burger,fries,salad,coffee").split(",")
        self.run = uuid.uuid4().hex[:12]
        self.under_way = 0
        self.number = 0

    def gap_s(self):
        return 1 / self.rate if self.is_constant else self.random.expovariate(self.rate)

    @task
    def keep_time(self):
        """Begins every request at its planned time; ends with the test."""
        planned = time.perf_counter()
        over = (STATE_STOPPING, STATE_STOPPED, STATE_CLEANUP)
        while self.environment.runner.state not in over:
            planned += self.gap_s()
            gevent.sleep(max(0.0, planned - time.perf_counter()))
            self.number += 1
            if self.under_way < UNDER_WAY_MAX:
                self.under_way += 1
                gevent.spawn(self.place, planned, self.number)
            else:
                self.tell("PACE", "not sent", 0.0, RuntimeError(f"{UNDER_WAY_MAX} requests are under way"))

    def place(self, planned, number):
        try:
            delay_ms = (time.perf_counter() - planned) * 1000
            self.tell(*DELAY, delay_ms)
            order = {
                "user_id": f"u{number % 1000}",
                "item": self.random.choice(self.items),
                "quantity": 1,
            }
            key = f"locust-{self.run}-{number}"
            with self.client.post(
                "/order", json=order, headers={"Idempotency-Key": key}, name="/order", catch_response=True
            ) as answer:
                # Locust begins its clock when the request begins.
                answer.request_meta["response_time"] = (time.perf_counter() - planned) * 1000
                if answer.status_code != self.accepts:
                    answer.failure(f"{answer.status_code} instead of {self.accepts}")
        finally:
            self.under_way -= 1

    def tell(self, kind, name, milliseconds, exception=None):
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=milliseconds,
            response_length=0,
            exception=exception,
            context={},
        )


@events.quitting.add_listener
def judge(environment, **_):
    """Says whether Locust itself was the bottleneck."""
    stats = environment.stats
    delay, order = stats.get(DELAY[1], DELAY[0]), stats.get(ORDER[1], ORDER[0])
    if not order.num_requests:
        return
    p99_ms = delay.get_response_time_percentile(0.99)
    median_ms = order.get_response_time_percentile(0.5)
    allowed_ms = max(SEND_DELAY_FLOOR_MS, median_ms * SEND_DELAY_SHARE_MAX)
    unsent = stats.entries.get(("not sent", "PACE"))
    not_sent = unsent.num_requests if unsent else 0
    if p99_ms > allowed_ms or not_sent:
        logging.error(
            "locust was the bottleneck: 1 %% of its requests began %.1f ms or more after their planned time, "
            "%.1f ms are allowed, and %d were not sent: these figures say nothing",
            p99_ms,
            allowed_ms,
            not_sent,
        )
        if environment.process_exit_code in (None, 0):
            environment.process_exit_code = BOTTLENECK_EXIT
