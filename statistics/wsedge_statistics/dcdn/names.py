"""Regions and networks by the original's English and Chinese names, and the relays' labels of them. Pure.

The original prints no list of its own for DCDN; these are the names of its sister product's
DescribeCdnRegionAndIsp. Relays count some of them under another label, which names here have as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

EVERYTHING: Final = "all"

REGIONS: Final[Mapping[str, str]] = {
    "anhui": "安徽省",
    "aomen": "澳门特别行政区",
    "beijing": "北京市",
    "chongqing": "重庆市",
    "fujian": "福建省",
    "gansu": "甘肃省",
    "guangdong": "广东省",
    "guangxi": "广西壮族自治区",
    "guizhou": "贵州省",
    "hainan": "海南省",
    "hebei": "河北省",
    "heilongjiang": "黑龙江省",
    "henan": "河南省",
    "hubei": "湖北省",
    "hunan": "湖南省",
    "jiangsu": "江苏省",
    "jiangxi": "江西省",
    "jilin": "吉林省",
    "liaoning": "辽宁省",
    "neimenggu": "内蒙古自治区",
    "ningxia": "宁夏回族自治区",
    "qinghai": "青海省",
    "shaanxi": "陕西省",
    "shandong": "山东省",
    "shanghai": "上海市",
    "shanxi": "山西省",
    "sichuan": "四川省",
    "taiwan": "台湾省",
    "tianjin": "天津市",
    "xianggang": "香港特别行政区",
    "xinjiang": "新疆维吾尔自治区",
    "xizang": "西藏自治区",
    "yunnan": "云南省",
    "zhejiang": "浙江省",
}
# The networks that the original always lists, then names of its longer list, which are listed once counted.
ISPS: Final[Mapping[str, str]] = {
    "cernet": "教育网",
    "drpeng": "鹏博士",
    "mobile": "移动",
    "telecom": "电信",
    "tietong": "铁通",
    "unicom": "联通",
}
FURTHER_ISPS: Final[Mapping[str, str]] = {
    "alibaba": "阿里巴巴",
    "aliyun": "阿里云",
    "ccn": "广电",
    "cht": "中华电信",
    "gwbn": "长城宽带",
    "hkbn": "香港宽频",
    "local area network": "局域网",
    "other": "其他",
    "overseas": "海外ISP",
    "wasu": "华数",
}
# The original's name, and the label under which relays of this project count it.
_COUNTED_AS: Final[Mapping[str, str]] = {
    "aomen": "macau",
    "xianggang": "hongkong",
    "ccn": "cbn",
    "local area network": "local-area-network",
    "fareastone telecom": "fareastone-telecom",
}
_NAMED: Final = {label: name for name, label in _COUNTED_AS.items()}


def label_of(name: str, counted: Iterable[str]) -> str:
    """Return the label under which a name is counted: itself, or the relays' word for it."""
    known = set(counted)
    return name if name in known else _COUNTED_AS.get(name, name)


def listed(
    counted: Iterable[str], always: Mapping[str, str], further: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return the names that always exist and those that were counted, with their Chinese names.

    A name without a Chinese one in these tables has the English one in its place.
    """
    known = {**further, **always}
    names = set(always) | {_NAMED.get(label, label) for label in counted}
    return [{"NameEn": name, "NameZh": known.get(name, name)} for name in sorted(names)]
