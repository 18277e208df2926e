"""Calls by the first SDK of the new generation, whose parameters are in a form. Runs in .venv-sdk-early.

Standard input and output are those of calls.py, without the name of an SDK.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from alibabacloud_dcdn20180115 import models
from alibabacloud_dcdn20180115.client import Client
from alibabacloud_tea_openapi.models import Config
from Tea.exceptions import TeaException


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def called(client: Client, action: str, parameters: dict[str, Any]) -> Any:
    request = getattr(models, f"{action}Request", None)
    method = getattr(client, snake(action))
    given = {snake(name): value for name, value in parameters.items()}
    try:
        return {"answer": (method(request(**given)) if request else method()).body.to_map()}
    except TeaException as error:
        return {"error": {"kind": type(error).__name__, "code": error.code, "message": error.message}}


def main() -> None:
    asked = json.load(sys.stdin)
    config = Config(access_key_id=asked["key"][0], access_key_secret=asked["key"][1])
    config.endpoint, config.protocol = f"127.0.0.1:{asked['port']}", "http"
    json.dump([called(Client(config), *call) for call in asked["calls"]], sys.stdout)


if __name__ == "__main__":
    main()
