"""Of a WebSocketDomain's spec: databases of the places and networks of clients."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from wsedge_operator.api.meta import Matches, SpecPart, cel, validations

_FILE_MESSAGE: Final = "name at least one file: ip2region, city or isp"

ClaimName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?",
        "give the name of a PersistentVolumeClaim in this namespace",
    ),
]
FilePath = Annotated[
    str,
    Field(min_length=1, max_length=255),
    Matches(
        r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*",
        "give the path of a file within the volume, for example GeoLite2-City.mmdb",
    ),
]


class Geo(SpecPart):
    """Databases by which usage is reported by region, network and country; a change replaces the pods."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("has(self.ip2region) || has(self.city) || has(self.isp)", _FILE_MESSAGE)
        )
    )

    volumeClaimName: Annotated[
        ClaimName,
        Field(
            description="The PersistentVolumeClaim of this namespace with the files; all relay pods mount "
            "it, read-only. A relay loads a new file within seconds, without a restart."
        ),
    ]
    ip2region: Annotated[
        FilePath | None,
        Field(description="Path in the volume of an xdb file of ip2region for IPv4. Default: none."),
    ] = None
    city: Annotated[
        FilePath | None,
        Field(description="Path in the volume of a MaxMind City or Country database. Default: none."),
    ] = None
    isp: Annotated[
        FilePath | None,
        Field(description="Path in the volume of a MaxMind ISP or ASN database. Default: none."),
    ] = None

    @model_validator(mode="after")
    def names_a_file(self) -> Self:
        """Refuse a volume without the path of a file (CEL: the same)."""
        if self.ip2region is None and self.city is None and self.isp is None:
            raise ValueError(_FILE_MESSAGE)
        return self
