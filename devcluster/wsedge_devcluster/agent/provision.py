"""A local provisioner: PersistentVolumes as folders of the cluster."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import aiohttp
import structlog

from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.informer import Informer
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.errors import ApiError

log = structlog.get_logger()

PROVISIONER = "devcluster.wsedge.io/local"
_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
_VOLUMES = "/api/v1/persistentvolumes"
_WANTED_BY_CLAIM = "volume.kubernetes.io/storage-provisioner"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_RETRY = 2.0


def storage_class() -> Object:
    """Return the default StorageClass `local`."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "local",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def persistent_volume(claim: Object, folder: Path) -> Object:
    """Return the PersistentVolume for a claim; every node is this machine, so it has no affinity."""
    metadata, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{metadata['uid']}", "annotations": {_PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec["storageClassName"],
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "hostPath": {"path": str(folder), "type": "DirectoryOrCreate"},
        },
    }


class Provisioner:
    """Makes a volume for each claim of its class, and removes it with the claim."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._api, self._folder = api, folder
        self._claims = Informer(api, "/api/v1/persistentvolumeclaims")
        self._volumes = Informer(api, _VOLUMES)
        self._dirty = asyncio.Event()
        for informer in (self._claims, self._volumes):
            informer.on_change(lambda _old, _new: self._dirty.set())

    async def start(self) -> None:
        """Create the StorageClass."""
        try:
            await self._api.create(_CLASSES, storage_class())
        except ApiError as error:
            if error.code != 409:
                raise

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claims.run())
            group.create_task(self._volumes.run())
            group.create_task(self._work())

    async def _work(self) -> None:
        await self._claims.synced.wait()
        await self._volumes.synced.wait()
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._provision()
                await self._reclaim()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("provisioning failed", error=repr(error))
                await asyncio.sleep(_RETRY)
                self._dirty.set()

    async def _provision(self) -> None:
        for claim in self._claims:
            wanted = claim["metadata"].get("annotations", {}).get(_WANTED_BY_CLAIM)
            name = f"pvc-{claim['metadata']['uid']}"
            if wanted != PROVISIONER or claim["spec"].get("volumeName") or self._volumes.get(name):
                continue
            folder = self._folder / name
            folder.mkdir(parents=True, exist_ok=True)
            try:
                await self._api.create(_VOLUMES, persistent_volume(claim, folder))
            except ApiError as error:
                if error.code != 409:
                    raise

    async def _reclaim(self) -> None:
        for volume in self._volumes:
            made = volume["metadata"].get("annotations", {}).get(_PROVISIONED_BY) == PROVISIONER
            released = volume.get("status", {}).get("phase") == "Released"
            if not (made and released and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"):
                continue
            name = volume["metadata"]["name"]
            shutil.rmtree(self._folder / name, ignore_errors=True)
            try:
                await self._api.delete(f"{_VOLUMES}/{name}")
            except ApiError as error:
                if error.code != 404:
                    raise
