"""A pod's volumes as folders: fetched, written atomically, kept current."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.environment import contents, field_value, resource_value
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.errors import ApiError, ContainerError, VolumeError

_DEFAULT_MODE = 0o644
_DEFAULT_TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume."""

    content: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    refresh_at: dt.datetime


class Volumes:
    """The volumes of one pod. `sync` updates them; `folder` returns the folder of a volume."""

    def __init__(self, api: Api, root: Path) -> None:
        self._api, self._root = api, root
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._external: dict[str, Path] = {}

    def folder(self, name: str) -> Path:
        """Return the folder of a volume."""
        return self._external.get(name, self._root / name)

    async def sync(self, pod: Object, now: dt.datetime) -> None:
        """Set up each volume, rewrite changed files. Raises VolumeError for the first volume that fails."""
        for volume in pod["spec"].get("volumes", []):
            await self._sync_volume(volume, pod, now)

    def mounts(self, container: Object) -> dict[str, str]:
        """Return a container's mount paths with their real folders."""
        found = {}
        for mount in container.get("volumeMounts", []):
            folder = self.folder(mount["name"])
            found[mount["mountPath"]] = str(folder / mount["subPath"] if "subPath" in mount else folder)
        return found

    async def _sync_volume(self, volume: Object, pod: Object, now: dt.datetime) -> None:
        name = volume["name"]
        if "emptyDir" in volume or "ephemeral" in volume:
            self.folder(name).mkdir(parents=True, exist_ok=True)
        elif "persistentVolumeClaim" in volume:
            self._external[name] = await self._claimed(
                name, volume["persistentVolumeClaim"]["claimName"], pod
            )
        elif "hostPath" in volume:
            self._external[name] = Path(volume["hostPath"]["path"])
        else:
            write_atomically(self.folder(name), await self._files(volume, pod, now))

    async def _files(self, volume: Object, pod: Object, now: dt.datetime) -> dict[str, File]:
        if "projected" in volume:
            source = volume["projected"]
            mode = source.get("defaultMode", _DEFAULT_MODE)
            files: dict[str, File] = {}
            for part in source.get("sources", []):
                files |= await self._part(volume["name"], part, mode, pod, now)
            return files
        kinds = [kind for kind in ("configMap", "secret", "downwardAPI") if kind in volume]
        if not kinds:
            unknown = ", ".join(key for key in volume if key != "name")
            raise VolumeError(volume["name"], f"this node has no volumes of the kind {unknown}")
        mode = volume[kinds[0]].get("defaultMode", _DEFAULT_MODE)
        return await self._part(volume["name"], {kinds[0]: volume[kinds[0]]}, mode, pod, now)

    async def _part(
        self, volume: str, part: Object, mode: int, pod: Object, now: dt.datetime
    ) -> dict[str, File]:
        if "configMap" in part:
            return await self._referred(volume, "configmaps", part["configMap"], mode, pod)
        if "secret" in part:
            return await self._referred(volume, "secrets", part["secret"], mode, pod)
        if "downwardAPI" in part:
            return _downward(volume, part["downwardAPI"], mode, pod)
        if "serviceAccountToken" in part:
            source = part["serviceAccountToken"]
            token = await self._token(volume, source, pod, now)
            return {source["path"]: File(token.encode(), mode)}
        raise VolumeError(volume, f"this node has no projected source {', '.join(part)}")

    async def _referred(
        self, volume: str, kind: str, source: Object, mode: int, pod: Object
    ) -> dict[str, File]:
        name = source.get("secretName") or source["name"]
        optional = source.get("optional", False)
        namespace = pod["metadata"]["namespace"]
        try:
            item = await self._api.get(f"/api/v1/namespaces/{namespace}/{kind}/{name}")
        except ApiError as error:
            if error.code != 404:
                raise VolumeError(volume, error.message) from error
            if optional:
                return {}
            raise VolumeError(volume, f'{kind.removesuffix("s")} "{name}" not found') from None
        return select_items(volume, contents(item), source.get("items"), mode, optional=optional)

    async def _token(self, volume: str, source: Object, pod: Object, now: dt.datetime) -> str:
        key = (volume, source["path"])
        known = self._tokens.get(key)
        if known is not None and now < known.refresh_at:
            return known.text
        metadata = pod["metadata"]
        account = pod["spec"].get("serviceAccountName", "default")
        seconds = source.get("expirationSeconds", _DEFAULT_TOKEN_SECONDS)
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        body: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [source["audience"]] if source.get("audience") else [],
                "expirationSeconds": seconds,
                "boundObjectRef": bound,
            },
        }
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        try:
            answer = await self._api.create(path, body)
        except ApiError as error:
            raise VolumeError(volume, f"failed to fetch token: {error.message}") from error
        # A kubelet renews after 80 % of the requested lifetime, and after a day at the latest.
        refresh = now + dt.timedelta(seconds=min(0.8 * seconds, 86400))
        self._tokens[key] = _Token(answer["status"]["token"], refresh)
        return self._tokens[key].text

    async def _claimed(self, volume: str, claim: str, pod: Object) -> Path:
        namespace = pod["metadata"]["namespace"]
        try:
            item = await self._api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
            bound = item["spec"].get("volumeName")
            if item.get("status", {}).get("phase") != "Bound" or not bound:
                raise VolumeError(volume, f'persistentvolumeclaim "{claim}" is not bound')
            persistent = await self._api.get(f"/api/v1/persistentvolumes/{bound}")
        except ApiError as error:
            raise VolumeError(volume, error.message) from error
        if "hostPath" not in persistent["spec"]:
            raise VolumeError(volume, f"PersistentVolume {bound} is no hostPath volume")
        return create_folder(Path(persistent["spec"]["hostPath"]["path"]))


def create_folder(folder: Path) -> Path:
    """Create a folder unless it exists; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def select_items(
    volume: str, data: Mapping[str, bytes], items: list[Object] | None, mode: int, *, optional: bool
) -> dict[str, File]:
    """Return the files of a ConfigMap or Secret: all keys, or those that `items` names."""
    if items is None:
        return {key: File(value, mode) for key, value in data.items()}
    files = {}
    for item in items:
        if item["key"] in data:
            files[item["path"]] = File(data[item["key"]], item.get("mode", mode))
        elif not optional:
            raise VolumeError(volume, f"references non-existent config key: {item['key']}")
    return files


def _downward(volume: str, source: Object, mode: int, pod: Object) -> dict[str, File]:
    files = {}
    for item in source.get("items", []):
        try:
            if "fieldRef" in item:
                text = field_value(item["fieldRef"]["fieldPath"], pod)
            else:
                text = resource_value(item["resourceFieldRef"], {"name": ""}, pod)
        except ContainerError as error:
            raise VolumeError(volume, error.message) from error
        files[item["path"]] = File(text.encode(), item.get("mode", mode))
    return files


def write_atomically(folder: Path, files: Mapping[str, File]) -> bool:
    """Make `folder` contain exactly `files`, atomically, as a kubelet does: by replacing one link.

    Each visible name links to `..data/NAME`, and `..data` links to a folder with the files of one moment.
    Return whether a file was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "..data"
    if data.is_symlink() and _read(data.resolve()) == dict(files):
        return False
    old = data.resolve() if data.is_symlink() else None
    new = folder / f"..{uuid.uuid4().hex}"
    for name, file in files.items():
        path = new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    new.mkdir(exist_ok=True)
    link = folder / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(new.name)
    os.replace(link, data)  # noqa: PTH105 (renames over the link, not over its target)
    visible = {name.split("/")[0] for name in files}
    for name in visible:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    for entry in folder.iterdir():
        if not entry.name.startswith("..") and entry.name not in visible:
            entry.unlink()
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _read(folder: Path) -> dict[str, File]:
    if not folder.is_dir():
        return {}
    return {
        str(path.relative_to(folder)): File(path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }
