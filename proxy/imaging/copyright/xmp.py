"""Copyright and author in XMP (ISO 16684), which is XML with RDF in it.

Whole properties are kept, with their languages and lists. XML with a document type is not read:
it could define entities.
"""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, TreeBuilder, register_namespace, tostring
from xml.parsers import expat

from proxy.buffers import Buffer
from proxy.imaging.copyright.notice import MAX_TEXT_LENGTH, MAX_XMP_BYTES

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_RIGHTS = "http://ns.adobe.com/xap/1.0/rights/"
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_PLUS = "http://ns.useplus.org/ldf/xmp/1.0/"
_CC = "http://creativecommons.org/ns#"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_META = "adobe:ns:meta/"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

_PREFIXES: Mapping[str, str] = {
    "rdf": _RDF,
    "dc": _DC,
    "xmpRights": _RIGHTS,
    "photoshop": _PHOTOSHOP,
    "plus": _PLUS,
    "cc": _CC,
    "tiff": _TIFF,
    "x": _META,
}
for _prefix, _namespace in _PREFIXES.items():
    register_namespace(_prefix, _namespace)

RIGHTS, CREATOR = f"{{{_DC}}}rights", f"{{{_DC}}}creator"
CREDIT, SOURCE = f"{{{_PHOTOSHOP}}}Credit", f"{{{_PHOTOSHOP}}}Source"

_KEPT = frozenset(
    (
        *(RIGHTS, CREATOR, CREDIT, SOURCE),
        *(f"{{{_TIFF}}}{name}" for name in ("Artist", "Copyright")),
        *(
            f"{{{_RIGHTS}}}{name}"
            for name in ("Certificate", "Marked", "Owner", "UsageTerms", "WebStatement")
        ),
        *(
            f"{{{_PLUS}}}{name}"
            for name in ("CopyrightOwner", "DataMining", "ImageCreator", "Licensor")
        ),
        *(
            f"{{{_CC}}}{name}"
            for name in ("attributionName", "attributionURL", "license", "morePermissions")
        ),
    )
)

_MAX_PACKET_BYTES = 1024 * 1024
_MAX_DEPTH = 16
_MAX_ELEMENTS = 20_000

_PACKET = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n%s\n<?xpacket end="r"?>'


def read_xmp(packet: Buffer) -> str:
    """The description with the properties that are kept, as XML; empty without any.

    Raises ValueError where the packet is no such XML or is too large.
    """
    data = bytes(packet)
    if len(data) > _MAX_PACKET_BYTES:
        raise ValueError(f"XMP of {len(data)} bytes")
    root = _parse(data.strip(b"\0 \r\n\t"))
    kept = Element(f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    for description in root.iter(f"{{{_RDF}}}RDF"):
        for properties in description.findall(f"{{{_RDF}}}Description"):
            for name, value in properties.attrib.items():
                if name in _KEPT and len(value) <= MAX_TEXT_LENGTH:
                    kept.set(name, value)
            for element in properties:
                if element.tag in _KEPT:
                    element.tail = None
                    kept.append(element)
    if len(kept) == 0 and len(kept.attrib) == 1:
        return ""
    text = tostring(kept, encoding="unicode")
    if len(text.encode()) > MAX_XMP_BYTES:
        raise ValueError(f"{len(text)} characters about copyright in XMP")
    return text


def write_xmp(kept: str, additions: Mapping[str, Sequence[str]]) -> bytes:
    """A packet of what `read_xmp` gave, and of further properties that it has not.

    ``additions`` maps names of properties to their texts; only `CREATOR` may have several.
    """
    root = Element(f"{{{_META}}}xmpmeta")
    rdf = SubElement(root, f"{{{_RDF}}}RDF")
    description = (
        _parse(kept.encode())
        if kept
        else Element(f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    )
    rdf.append(description)
    for name, texts in additions.items():
        if texts and description.find(name) is None and name not in description.attrib:
            _add(description, name, texts)
    return (_PACKET % tostring(root, encoding="unicode")).encode()


def _add(description: Element, name: str, texts: Sequence[str]) -> None:
    if name not in (RIGHTS, CREATOR):
        SubElement(description, name).text = texts[0]
        return
    container = SubElement(SubElement(description, name), f"{{{_RDF}}}{_CONTAINERS[name]}")
    for text in texts:
        item = SubElement(container, f"{{{_RDF}}}li")
        item.text = text
        if name == RIGHTS:
            item.set(_LANGUAGE, "x-default")


_CONTAINERS: Mapping[str, str] = {RIGHTS: "Alt", CREATOR: "Seq"}


def _parse(data: bytes) -> Element:
    """The root element. Raises ValueError."""
    builder, depth, count = TreeBuilder(), 0, 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > _MAX_DEPTH or count > _MAX_ELEMENTS:
            raise ValueError("XMP with too many elements")
        builder.start(_qualify(name), {_qualify(key): each for key, each in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_qualify(name))

    def reject(*_: object) -> None:
        raise ValueError("XMP with a document type")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = reject
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"XMP: {error}") from error
    root: Element = builder.close()
    return root


def _qualify(name: str) -> str:
    """Expat's ``namespace}name`` as ElementTree writes it."""
    return "{" + name if "}" in name else name
