"""The order API of `streaming`: 202 says that Kafka has stored the order."""

from open_model import OpenModelUser


class Streaming(OpenModelUser):
    host = "http://127.0.0.1:8201"
