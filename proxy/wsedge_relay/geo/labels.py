"""The place and the network of a client, as labels of the statistics. Pure.

Databases have different names for the same place. This module maps every name to a label that the statistics'
contract accepts. The provinces and the large networks of China, by which usage is billed, each get one label,
whatever their name in the database.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from wsedge_relay.geo.xdb import XdbPlace

UNKNOWN: Final = "unknown"
_LONGEST: Final = 64
_CHINA: Final = "CN"

# ISO 3166-2:CN subdivision, Chinese name without a word for "province", label.
_PROVINCES: Final = (
    ("AH", "安徽", "anhui"),
    ("BJ", "北京", "beijing"),
    ("CQ", "重庆", "chongqing"),
    ("FJ", "福建", "fujian"),
    ("GD", "广东", "guangdong"),
    ("GS", "甘肃", "gansu"),
    ("GX", "广西", "guangxi"),
    ("GZ", "贵州", "guizhou"),
    ("HA", "河南", "henan"),
    ("HB", "湖北", "hubei"),
    ("HE", "河北", "hebei"),
    ("HI", "海南", "hainan"),
    ("HL", "黑龙江", "heilongjiang"),
    ("HN", "湖南", "hunan"),
    ("JL", "吉林", "jilin"),
    ("JS", "江苏", "jiangsu"),
    ("JX", "江西", "jiangxi"),
    ("LN", "辽宁", "liaoning"),
    ("NM", "内蒙古", "neimenggu"),
    ("NX", "宁夏", "ningxia"),
    ("QH", "青海", "qinghai"),
    ("SC", "四川", "sichuan"),
    ("SD", "山东", "shandong"),
    ("SH", "上海", "shanghai"),
    ("SN", "陕西", "shaanxi"),
    ("SX", "山西", "shanxi"),
    ("TJ", "天津", "tianjin"),
    ("XJ", "新疆", "xinjiang"),
    ("XZ", "西藏", "xizang"),
    ("YN", "云南", "yunnan"),
    ("ZJ", "浙江", "zhejiang"),
)
# Places with a country code of their own (ISO 3166-1) that some databases list as provinces.
_OWN_CODES: Final = (
    ("HK", "香港", "hongkong"),
    ("MO", "澳门", "macau"),
    ("TW", "台湾", "taiwan"),
)
_BY_CODE: Final = {code: label for code, _, label in _PROVINCES}
_COUNTRIES: Final = {
    "中国": _CHINA,
    "美国": "US",
    "日本": "JP",
    "韩国": "KR",
    "新加坡": "SG",
    "德国": "DE",
    "英国": "GB",
    "法国": "FR",
    "俄罗斯": "RU",
    "加拿大": "CA",
    "澳大利亚": "AU",
    "印度": "IN",
    "巴西": "BR",
    "荷兰": "NL",
    "泰国": "TH",
    "越南": "VN",
    "马来西亚": "MY",
    "印度尼西亚": "ID",
    "菲律宾": "PH",
    "意大利": "IT",
    "西班牙": "ES",
}
# A part of a network's name, in lower case, and the network's label. The first match is used.
_NETWORKS: Final = (
    ("电信", "telecom"),
    ("联通", "unicom"),
    ("移动", "mobile"),
    ("铁通", "tietong"),
    ("教育网", "cernet"),
    ("广电", "cbn"),
    ("阿里", "alibaba"),
    ("腾讯", "tencent"),
    ("华为", "huawei"),
    ("鹏博士", "drpeng"),
    ("china telecom", "telecom"),
    ("chinanet", "telecom"),
    ("china unicom", "unicom"),
    ("china169", "unicom"),
    ("china mobile", "mobile"),
    ("china tietong", "tietong"),
    ("china education and research network", "cernet"),
    ("china broadnet", "cbn"),
)


class Place(NamedTuple):
    """Labels of the statistics: province or state, network, country by ISO 3166."""

    region: str = UNKNOWN
    isp: str = UNKNOWN
    area: str = UNKNOWN

    def filled(self, other: Place) -> Place:
        """Return this place, with its unknown parts replaced by those of `other`."""
        return Place(*(mine if mine != UNKNOWN else theirs for mine, theirs in zip(self, other, strict=True)))


NOWHERE: Final = Place()


def label(text: str) -> str:
    """Return a name as a label: lower case, without accents, one dash for other characters.

    A name without a Latin letter or digit is encoded as Punycode ("xn--…", RFC 3492), to keep it unique.
    """
    plain = unicodedata.normalize("NFKD", text.strip()).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9._]+", "-", plain).strip("-._")
    if not made and text.strip():
        made = "xn--" + text.strip().encode("punycode").decode("ascii").strip("-").lower()
        if not re.fullmatch(r"[a-z0-9._-]+", made):
            return UNKNOWN
    return made[:_LONGEST].rstrip("-._") or UNKNOWN


def network(name: str) -> str:
    """Return the label of a network operator."""
    lower = name.lower()
    for part, known in _NETWORKS:
        if part in lower:
            return known
    return label(name)


def of_xdb(found: XdbPlace) -> Place:
    """Return the labels of an ip2region record."""
    area = (
        _code(found.code)
        if found.code
        else _COUNTRIES.get(found.country) or (label(found.country) if found.country else UNKNOWN)
    )
    region = label(found.province) if found.province else UNKNOWN
    for code, name, known in (*_PROVINCES, *_OWN_CODES):
        if found.province.startswith(name) and area in (_CHINA, code, UNKNOWN):
            region = known
            area = code if (code, name, known) in _OWN_CODES else _CHINA
            break
    return Place(region, network(found.isp) if found.isp else UNKNOWN, area)


def of_city(record: Mapping[str, Any]) -> Place:
    """Return the region and area of a record of a MaxMind City or Country database."""
    area = str(_at(record, "country", "iso_code") or _at(record, "registered_country", "iso_code") or "")
    subdivisions = record.get("subdivisions")
    first = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else {}
    code, name = str(_at(first, "iso_code") or ""), str(_at(first, "names", "en") or "")
    region = _BY_CODE.get(code) if area == _CHINA else None
    if region is None:
        region = label(name or code) if name or code else UNKNOWN
    return Place(region=region, area=_code(area))


def of_isp(record: Mapping[str, Any]) -> Place:
    """Return the network of a record of a MaxMind ISP or ASN database."""
    name = record.get("isp") or record.get("autonomous_system_organization") or record.get("organization")
    return Place(isp=network(str(name)) if name else UNKNOWN)


def _code(country: str) -> str:
    made = label(country)
    return made.upper() if made != UNKNOWN else UNKNOWN


def _at(record: object, *path: str) -> object:
    for key in path:
        if not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record
