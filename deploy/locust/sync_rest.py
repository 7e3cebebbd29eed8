"""The order API of `sync-rest`: 200 says that inventory has reserved, and the customer was told."""

from open_model import OpenModelUser


class SyncRest(OpenModelUser):
    host = "http://127.0.0.1:8001"
    accepts = 200
