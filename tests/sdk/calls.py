"""Calls by the official SDKs, as programs have them: only the endpoint is set. Runs in .venv-sdk.

Standard input has {"port": …, "key": [id, secret], "calls": [[sdk, action, parameters], …]}; an sdk is `old`,
`new`, or `new-v2` (the new one with the old signature). Standard output has a list of what each call gave:
{"answer": …} or {"error": {"kind", "code", "message", "status"}}.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from typing import Any

from alibabacloud_dcdn20180115 import models
from alibabacloud_dcdn20180115.client import Client
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from darabonba.exceptions import DaraException

# A private authority of the server, which clients of a public one do not name.
CA = os.environ.get("ALIBABA_CLOUD_CA_BUNDLE")


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def by_new(
    endpoint: str, key: list[str], action: str, parameters: dict[str, Any], version: str | None
) -> Any:
    config = Config(access_key_id=key[0], access_key_secret=key[1], endpoint=endpoint)
    if CA:
        config.ca = CA
    else:
        config.protocol = "http"  # its default is https
    if version:
        config.signature_algorithm = version
    request = getattr(models, f"{action}Request", None)
    method = getattr(Client(config), snake(action))
    given = {snake(name): value for name, value in parameters.items()}
    return (method(request(**given)) if request else method()).body.to_map()


def by_old(endpoint: str, key: list[str], action: str, parameters: dict[str, Any]) -> Any:
    client = AcsClient(key[0], key[1], "cn-hangzhou")
    module = importlib.import_module(f"aliyunsdkdcdn.request.v20180115.{action}Request")
    request = getattr(module, f"{action}Request")()
    request.set_endpoint(endpoint)
    if CA:
        request.set_protocol_type("https")  # its default is http
    for name, value in parameters.items():
        getattr(request, f"set_{name}")(value)
    return json.loads(client.do_action_with_exception(request))


def called(endpoint: str, key: list[str], sdk: str, action: str, parameters: dict[str, Any]) -> Any:
    try:
        if sdk == "old":
            return {"answer": by_old(endpoint, key, action, parameters)}
        return {"answer": by_new(endpoint, key, action, parameters, "v2" if sdk == "new-v2" else None)}
    except (ServerException, ClientException) as error:
        status = error.http_status if isinstance(error, ServerException) else None
        found = {"code": error.error_code, "message": error.message, "status": status}
        return {"error": {"kind": type(error).__name__, **found}}
    except DaraException as error:
        found = {
            name: getattr(error, name, None) for name in ("code", "message", "status_code", "retry_after")
        }
        found["status"] = found.pop("status_code")
        return {"error": {"kind": type(error).__name__, **found}}


def main() -> None:
    asked = json.load(sys.stdin)
    endpoint = f"127.0.0.1:{asked['port']}"
    json.dump([called(endpoint, asked["key"], *call) for call in asked["calls"]], sys.stdout)


if __name__ == "__main__":
    main()
