"""HTTP to the API server through `kubectl proxy`: with the user's own kubeconfig, credentials and rights.

kubectl itself sends no headers of ours (`kubectl get --raw`), and the relays' token needs one. The proxy
listens at a Unix socket in a folder that only this user may enter, and ends with this process.
"""

from __future__ import annotations

import copy
import http.client
import json
import re
import socket
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from wsedge_operator.cli import rights
from wsedge_operator.cli.exit_codes import FORBIDDEN, NO_WSEDGE, NOT_FOUND, UNREACHABLE, USAGE
from wsedge_operator.cli.json_text import parse
from wsedge_operator.cli.kubectl import Kubectl
from wsedge_operator.cli.rendering import printable
from wsedge_operator.cli.rights import Right
from wsedge_operator.errors import KubectlError, OperatorError, PluginError

_PIECE: Final = 64 * 1024
_ITEMS: Final = 500  # of a page of a list
_END_SECONDS: Final = 5.0
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SAID: Final = "error: "  # before what kubectl says of its configuration
_KINDS: Final = {"websocketdomains": "WebSocketDomain", "pods": "pod", "secrets": "Secret"}  # of one object
_OF_KUBECTL: Final = (500, 502)  # a relay answers with neither, and the API server's own have a Status


@dataclass(frozen=True, slots=True)
class Bound:
    """How much is read of an answer, and for how long."""

    most: int
    seconds: float


OF_API_SERVER: Final = Bound(32 * 1024 * 1024, 20.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the API server, or of a pod behind it."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; raises PluginError."""
        try:
            return parse(self.body)
        except ValueError:
            raise PluginError("The answer is not JSON: something else than wsedge answers.") from None

    @property
    def failure(self) -> Mapping[str, Any] | None:
        """The body as a Status of the API server; None when it is something else."""
        try:
            found = parse(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) and found.get("kind") == "Status" else None


class Gateway:
    """Calls for one verb of the plugin, in one namespace (empty: in all). To be used as a context."""

    def __init__(self, kubectl: Kubectl, *, verb: str, namespace: str, domain: str = "") -> None:
        """Start nothing yet. `verb`, `domain` and `statistics` are named when a right is missing."""
        self.namespace = namespace
        self.domain = domain
        self.statistics = rights.STATISTICS_NAMESPACE
        self._verb = verb
        self._kubectl = kubectl
        self._folder: tempfile.TemporaryDirectory[str]
        self._process: subprocess.Popen[str]
        self._socket = ""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="wsedge-")
        self._socket = str(Path(self._folder.name) / "s")
        command = [self._kubectl.program, *self._kubectl.options, "proxy", f"--unix-socket={self._socket}"]
        messages = Path(self._folder.name) / "messages"  # a pipe that nobody reads would stop the proxy
        try:
            with messages.open("w") as errors:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
                )
        except FileNotFoundError:
            self._folder.cleanup()
            raise KubectlError(f"there is no program {self._kubectl.program!r} in PATH") from None
        assert self._process.stdout is not None  # noqa: S101  a pipe
        if not self._process.stdout.readline():  # it prints a line once it listens
            self._end()
            problem = messages.read_text().strip()
            self._folder.cleanup()
            raise unusable(problem or "kubectl proxy ended")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._folder.cleanup()

    def within(self, namespace: str) -> Gateway:
        """Return the same calls in another namespace; this one ends them."""
        other = copy.copy(self)
        other.namespace = namespace
        return other

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def call(
        self,
        method: str,
        path: str,
        right: Right,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        bound: Bound = OF_API_SERVER,
    ) -> Answer:
        """Return the answer of a pod or of the API server to a request that `right` allows.

        Raises PluginError when the API server does not answer, does not know the user, or refuses the call.
        """
        answer = self._exchange(method, path, headers or {}, body, bound)
        failure = answer.failure
        if answer.status == 401 and failure is not None:
            raise PluginError("The API server does not accept your credentials: log in again.", FORBIDDEN)
        if answer.status == 403 and failure is not None:
            raise self._forbidden(right, failure)
        if answer.status in _OF_KUBECTL and failure is None:  # a line of kubectl's own
            raise PluginError(
                f"The API server does not answer: {printable(answer.body.decode(errors='replace').strip())}",
                UNREACHABLE,
            )
        return answer

    def get(self, path: str, right: Right) -> Any:
        """Return an object or a list; raises PluginError, with the code NOT_FOUND when it does not exist."""
        answer = self.call("GET", path, right)
        if answer.status == 404:
            raise self._not_found(path, answer)
        if answer.status != 200:
            message = (answer.failure or {}).get("message") or answer.body.decode(errors="replace")
            raise PluginError(f"The API server answered {answer.status}: {printable(message)}")
        return answer.json()

    def items(self, path: str, right: Right) -> list[dict[str, Any]]:
        """Return the items of a list, read in pages; raises as `get`."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            joint = "&" if "?" in path else "?"
            page = self.get(f"{path}{joint}limit={_ITEMS}{after}", right)
            found += page["items"]
            going_on = (page.get("metadata") or {}).get("continue")
            if not going_on:
                return found
            after = f"&continue={urllib.parse.quote(going_on, safe='')}"

    def answers(self) -> bool:
        """Return whether the API server answers at all."""
        try:
            answer = self._exchange("GET", "/version", {}, None, Bound(_PIECE, 5.0))
        except PluginError:
            return False
        return answer.status not in _OF_KUBECTL or answer.failure is not None

    def post(self, path: str, right: Right, document: Mapping[str, Any]) -> Any:
        """Create an object and return the answer; raises PluginError."""
        headers = {"Content-Type": "application/json"}
        answer = self.call("POST", path, right, headers=headers, body=json.dumps(document).encode())
        if answer.status == 404:
            raise self._not_found(path, answer)
        if answer.status not in (200, 201):
            message = (answer.failure or {}).get("message") or answer.body.decode(errors="replace")
            raise PluginError(f"The API server answered {answer.status}: {printable(message)}")
        return answer.json()

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, bound: Bound
    ) -> Answer:
        connection = _UnixConnection(self._socket, bound.seconds)
        try:
            connection.request(method, path, body=body, headers={"Accept": "application/json", **headers})
            answer = connection.getresponse()
            content = _read(answer, bound)
        except (OSError, http.client.HTTPException) as error:
            text = str(error) or type(error).__name__
            raise PluginError(f"The API server does not answer: {printable(text)}.", UNREACHABLE) from None
        finally:
            connection.close()
        return Answer(answer.status, content)

    def _forbidden(self, right: Right, failure: Mapping[str, Any]) -> PluginError:
        needed = next(
            (
                one
                for one in rights.rights_of(self._verb, domain=self.domain, statistics=self.statistics)
                if (one.group, one.resource) == (right.group, right.resource)
                and set(right.verbs) & set(one.verbs)
            ),
            right,
        )
        where = right.namespace or self.namespace
        given = rights.roles(
            [self._verb], namespace=self.namespace, domain=self.domain, statistics=self.statistics
        )
        return PluginError(
            f"`kubectl wsedge {self._verb}` lacks a right"
            f" in {f'namespace {printable(where)}' if where else 'all namespaces'}:"
            f" {needed.sentence()}. ({printable(failure.get('message') or '')})",
            FORBIDDEN,
            f"This {given[0]['kind']} gives what the verb needs; an administrator applies it and binds it to"
            f" you:\n\n{rights.as_yaml(given)}",
        )

    def _not_found(self, path: str, answer: Answer) -> PluginError:
        details = (answer.failure or {}).get("details") or {}
        name = details.get("name") if isinstance(details, dict) else None
        if name:
            kind = str(details.get("kind") or "object")
            if kind == "namespaces":
                return PluginError(f"There is no namespace {printable(name)!r}.", NOT_FOUND)
            what = f"{_KINDS.get(kind, kind)} {name!r}"
            return PluginError(f"There is no {printable(what)} in namespace {self.namespace}.", NOT_FOUND)
        if "/apis/wsedge.io/" in path:
            return PluginError(
                "This cluster has no wsedge: its API server does not serve wsedge.io/v1alpha1."
                " Install the chart.",
                NO_WSEDGE,
            )
        return PluginError("The API server does not serve this.", NOT_FOUND)


def _read(answer: http.client.HTTPResponse, bound: Bound) -> bytes:
    """Return the body; raises PluginError when it is too large, TimeoutError when it takes too long.

    The timeout of a socket is that of each read: a pod that sends a byte now and then would never end.
    """
    end = time.monotonic() + bound.seconds
    content = bytearray()
    while piece := answer.read1(_PIECE):
        content += piece
        if len(content) > bound.most:
            raise PluginError(f"An answer has more than {bound.most} bytes.")
        if time.monotonic() > end:
            raise TimeoutError(f"it takes longer than {bound.seconds:g} s")
    if answer.length:  # read1 tells a body that was cut off from a whole one by nothing else
        raise http.client.IncompleteRead(bytes(content), answer.length)
    return bytes(content)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket. The proxy accepts the host `localhost` only."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            with suppress(OSError):
                self.sock.close()
            raise


def namespace_of(kubectl: Kubectl, given: str | None) -> str:
    """Return the namespace of the command line, or that of the kubeconfig's context; raises PluginError."""
    found = given or _of_context(kubectl) or "default"
    if not _NAMESPACE.fullmatch(found):
        raise PluginError(f"{printable(found)!r} is no name of a namespace.", USAGE)
    return found


def _of_context(kubectl: Kubectl) -> str:
    try:
        return kubectl.run("config", "view", "--minify", "--output=jsonpath={..namespace}").strip()
    except KubectlError as error:
        raise unusable(str(error)) from None


def unusable(said: str) -> OperatorError:
    """Return the error of kubectl's sentence about a kubeconfig or a context that it cannot use."""
    if not said.startswith(_SAID):
        return KubectlError(said)
    return PluginError(
        f"kubectl has no usable configuration: {printable(said.removeprefix(_SAID))}. Name a kubeconfig"
        " (--kubeconfig, KUBECONFIG) and a context of it (--context).",
        USAGE,
    )
