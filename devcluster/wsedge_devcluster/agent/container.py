"""The life of one container: image, environment, process, probes, restarts, end."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog

from wsedge_devcluster.agent.actions import Place, perform
from wsedge_devcluster.agent.backoff import BackOff
from wsedge_devcluster.agent.context import PodContext
from wsedge_devcluster.agent.environment import (
    Sources,
    container_environment,
    contents,
    expand,
    references,
    service_variables,
)
from wsedge_devcluster.agent.identity import (
    SERVICE_ACCOUNT_MOUNT,
    api_server_variables,
    base_environment,
    write_kubeconfig,
)
from wsedge_devcluster.agent.images import program
from wsedge_devcluster.agent.logs import LogWriter, last_words, log_file, log_folder
from wsedge_devcluster.agent.mounts import replace_mount_paths
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.agent.prober import Prober
from wsedge_devcluster.agent.probes import Probe
from wsedge_devcluster.agent.status import Record, Role, Running, Terminated, Waiting, ended, restarts
from wsedge_devcluster.agent.times import utc_now
from wsedge_devcluster.errors import ApiError, ContainerError, present
from wsedge_devcluster.machine.children import Child

log = structlog.get_logger()

_CONFIG_RETRY = 10.0  # seconds until a kubelet retries a container with an incomplete configuration
_LEAST_GRACE = 2.0  # seconds between SIGTERM and SIGKILL, whatever the grace period says


@dataclass(frozen=True, slots=True)
class _Plan:
    command: list[str]
    place: Place


class ContainerRunner:
    """Runs one container of a pod, and restarts it by the pod's restart policy."""

    def __init__(self, context: PodContext, name: str, role: Role, waiting: str) -> None:
        spec = context.container(name)
        self._context, self._name, self._role = context, name, role
        self.record = Record(name, spec["image"], role, Waiting(waiting))
        self._scale = context.tools.backoff_scale
        self._backoff = BackOff(self._scale, eager=True)
        self._child: Child | None = None
        self._log: Path | None = None
        self._started_at = utc_now()
        self._writer: LogWriter | None = None
        self._place: Place | None = None
        self._ending = asyncio.Lock()

    @property
    def place(self) -> Place | None:
        """Environment and folder of the container's process while it runs."""
        return self._place if isinstance(self.record.state, Running) else None

    async def run(self) -> int:
        """Run until the container has ended for good; return its exit code."""
        while True:
            plan = await self._until_planned()
            if not await self._start(plan):
                continue
            code = await self._probe_until_end(plan)
            policy = self._context.pod["spec"].get("restartPolicy", "Always")
            if not restarts(policy, self._role, code):
                return code
            await self._crash_back_off()
            self.record.restarts += 1

    async def end(self, grace: float) -> None:
        """End the container: preStop, SIGTERM, and SIGKILL when the grace period (seconds) is over."""
        child = self._child
        if child is None or child.ended.done():
            await self._record_end()
            return
        self._event("Killing", f"Stopping container {self._name}")
        await self._terminate(child, grace)
        await self._record_end()

    def kill(self, number: signal.Signals) -> None:
        """Send a signal at once, without preStop: the whole cluster ends."""
        if self._child is not None:
            self._child.send_to_all(number)

    async def wait_ended(self) -> None:
        """Wait for the end of the last process."""
        if self._child is not None:
            await self._child.wait()

    # -- before the start

    async def _until_planned(self) -> _Plan:
        """Wait until image, configuration and program exist; the state names the missing one meanwhile."""
        pulls = BackOff(self._scale, eager=False)
        while True:
            version = self._context.version
            spec = self._context.container(self._name)
            self.record.image = spec["image"]
            try:
                plan = await self._plan(spec)
            except ContainerError as error:
                await self._report_and_back_off(error, pulls, spec, version)
                continue
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("container waits for the API server", container=self._name, error=repr(error))
                await self._context.pause(1.0, since=version)
                continue
            self._event("Pulled", f'Container image "{spec["image"]}" already present on machine')
            return plan

    async def _report_and_back_off(
        self, error: ContainerError, pulls: BackOff, spec: Object, version: int
    ) -> None:
        if error.reason != "ErrImagePull":
            self._wait(error.reason, error.message)
            self._warn("Failed", f"Error: {error.message}")
            await self._context.pause(_CONFIG_RETRY * self._scale, since=version)
            return
        image = spec["image"]
        self._event("Pulling", f'Pulling image "{image}"')
        self._wait("ErrImagePull", error.message)
        self._warn("Failed", f'Failed to pull image "{image}": {error.message}')
        self._warn("Failed", "Error: ErrImagePull")
        # A kubelet shows this state until its next sync, and only then the back-off.
        await self._context.pause(1.0 * self._scale, since=version)
        self._wait("ImagePullBackOff", f'Back-off pulling image "{image}": {error}')
        self._event("BackOff", f'Back-off pulling image "{image}"')
        self._warn("Failed", "Error: ImagePullBackOff")
        await self._context.pause(pulls.next(), since=version)

    async def _plan(self, spec: Object) -> _Plan:
        context = self._context
        image = context.tools.images.find(spec["image"])
        variables = container_environment(spec, context.pod, await self._sources(spec), self._services())
        mounts = context.volumes.mounts(spec)
        words = [*(spec.get("command") or []), *(spec.get("args") or [])]
        command = program([replace_mount_paths(expand(word, variables), mounts) for word in words])
        home = context.folder / "containers" / self._name
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        environment = {**base_environment(context, home), **image.environment}
        if folder := mounts.get(SERVICE_ACCOUNT_MOUNT):
            environment["KUBECONFIG"] = str(write_kubeconfig(context, home, Path(folder)))
        environment |= {name: replace_mount_paths(value, mounts) for name, value in variables.items()}
        folder = replace_mount_paths(spec.get("workingDir", ""), mounts)
        # A working folder within a volume exists; a folder within an image does not.
        place = existing(folder) or image.folder or home
        return _Plan(command, Place(environment, place, mounts))

    def _services(self) -> dict[str, str]:
        """Return the API server's variables, which a kubelet always sets, and those of enableServiceLinks."""
        variables = api_server_variables(self._context)
        if self._context.pod["spec"].get("enableServiceLinks", True):
            namespace = self._context.pod["metadata"]["namespace"]
            variables |= service_variables(self._context.tools.services(), namespace)
        return variables

    async def _sources(self, spec: Object) -> Sources:
        config_maps, secrets = references(spec)
        return Sources(
            {
                name: found
                for name in config_maps
                if (found := await self._fetch("configmaps", name)) is not None
            },
            {name: found for name in secrets if (found := await self._fetch("secrets", name)) is not None},
        )

    async def _fetch(self, kind: str, name: str) -> dict[str, bytes] | None:
        namespace = self._context.pod["metadata"]["namespace"]
        try:
            return contents(
                await self._context.tools.api.get(f"/api/v1/namespaces/{namespace}/{kind}/{name}")
            )
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    # -- running

    async def _start(self, plan: _Plan) -> bool:
        """Start the process; return False when the kernel refuses it."""
        metadata = self._context.pod["metadata"]
        folder = log_folder(
            self._context.tools.logs_folder,
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            self._name,
        )
        self._log = log_file(folder, self.record.restarts)
        self._event("Created", f"Container created: {self._name}")
        try:
            child = self._context.tools.children.start(
                plan.command,
                env=plan.place.env,
                cwd=plan.place.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            self._wait("RunContainerError", f"failed to start container: {error}")
            self._warn("Failed", f"Error: failed to start container: {error}")
            await self._context.pause(_CONFIG_RETRY * self._scale, since=self._context.version)
            return False
        self._child, self._place = child, plan.place
        self._started_at = utc_now()
        self.record.container_id = f"wsedge-devcluster://{uuid.uuid4().hex}"
        self.record.state = Running(self._started_at)
        self._event("Started", f"Container started: {self._name}")
        self._context.changed()
        self._writer = LogWriter(self._log)
        await self._writer.attach(present(child.stdout), present(child.stderr))
        return True

    async def _probe_until_end(self, plan: _Plan) -> int:
        """Probe until the process has ended."""
        child = present(self._child)
        spec = self._context.container(self._name)
        prober = Prober(spec, self._context, plan.place, self.record, self._restart)
        probing = asyncio.create_task(self._run_hook_and_probes(spec, prober, plan.place))
        probing.add_done_callback(self._log_failed_probing)
        try:
            code = await child.wait()
        finally:
            probing.cancel()
            await asyncio.wait([probing])
        await self._record_end()
        return code

    async def _run_hook_and_probes(self, spec: Object, prober: Prober, place: Place) -> None:
        """Run the postStart hook, then the probes."""
        hook = spec.get("lifecycle", {}).get("postStart")
        if hook is not None and self._child is not None:
            failure = await perform(hook, spec, self._context, place, seconds=300.0)
            if failure is not None:
                self._warn("FailedPostStartHook", f"PostStartHook failed: {failure}")
                await self._terminate(self._child, self._grace())
                return
        await prober.run()

    async def _restart(self, probe: Probe) -> None:
        """End the process after a failed liveness or startup probe; the restart policy starts it again."""
        if self._child is None:
            return
        text = f"Container {self._name} failed {probe.kind.lower()} probe, will be restarted"
        self._event("Killing", text)
        # In a task of its own: the prober's task is cancelled when the process has ended.
        grace = self._grace() if probe.grace is None else probe.grace
        self._killer = asyncio.create_task(self._terminate(self._child, grace))

    def _log_failed_probing(self, probing: asyncio.Task[None]) -> None:
        """Log a failure of probing itself, which is a defect; the container continues."""
        if not probing.cancelled() and (error := probing.exception()) is not None:
            log.error("probing failed", container=self._name, exc_info=error)

    def _grace(self) -> float:
        return float(self._context.pod["spec"].get("terminationGracePeriodSeconds", 30))

    # -- the end

    async def _terminate(self, child: Child, grace: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(grace, _LEAST_GRACE)
        spec = self._context.container(self._name)
        hook = spec.get("lifecycle", {}).get("preStop")
        if hook is not None and self._place is not None and grace > 0:
            failure = await perform(hook, spec, self._context, self._place, seconds=grace)
            if failure is not None:
                self._warn("FailedPreStopHook", f"PreStopHook failed: {failure}")
        child.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(max(deadline - loop.time(), _LEAST_GRACE)):
                await child.wait()
        except TimeoutError:
            child.send_to_all(signal.SIGKILL)
            await child.wait()

    async def _record_end(self) -> None:
        """Record the end of the process, once: kill its remaining children, close its log."""
        async with self._ending:
            child, self._child = self._child, None
            if child is None:
                return
            code = await child.wait()
            child.send_to_all(signal.SIGKILL)
            if self._writer is not None:
                await self._writer.finish()
                self._writer = None
            record = self.record
            state = ended(
                code, self._started_at, utc_now(), message=self._message(code), identity=record.container_id
            )
            record.state, record.ready, record.started = state, False, False
            self._context.changed()

    def _message(self, code: int) -> str:
        policy = self._context.container(self._name).get("terminationMessagePolicy", "File")
        if policy == "FallbackToLogsOnError" and code != 0 and self._log is not None:
            return last_words(self._log)
        return ""

    async def _crash_back_off(self) -> None:
        """Wait out CrashLoopBackOff, from the second restart on. A change of the pod does not shorten it."""
        state = self.record.state
        if not isinstance(state, Terminated):
            raise LookupError(f"container {self._name} has not ended")
        self.record.last = state
        ran = (state.finished - self._started_at) / dt.timedelta(seconds=1)
        delay = self._backoff.next(ran)
        if delay <= 0:
            return
        metadata = self._context.pod["metadata"]
        pod = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        shown = f"{delay:g}s" if delay < 60 else f"{int(delay // 60)}m{int(delay % 60)}s"
        self._wait("CrashLoopBackOff", f"back-off {shown} restarting failed container={self._name} pod={pod}")
        self._warn("BackOff", f"Back-off restarting failed container {self._name} in pod {pod}")
        await asyncio.sleep(delay)

    def _wait(self, reason: str, message: str) -> None:
        self.record.state = Waiting(reason, message)
        self._context.changed()

    def _event(self, reason: str, message: str) -> None:
        self._context.tools.events.normal(self._context.pod, reason, message, field=self._field())

    def _warn(self, reason: str, message: str) -> None:
        self._context.tools.events.warning(self._context.pod, reason, message, field=self._field())

    def _field(self) -> str:
        kind = "containers" if self._role is Role.MAIN else "initContainers"
        return f"spec.{kind}{{{self._name}}}"


def existing(folder: str) -> Path | None:
    """Return the folder, if it exists on this machine."""
    return Path(folder) if folder and Path(folder).is_dir() else None
