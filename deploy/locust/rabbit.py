"""The order API of `rabbit`: 202 says that RabbitMQ has stored the order."""

from open_model import OpenModelUser


class Rabbit(OpenModelUser):
    host = "http://127.0.0.1:8101"
