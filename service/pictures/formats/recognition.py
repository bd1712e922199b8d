"""What kind of file an upload is, by its first bytes; what it is called or says it is does not count.

The formats that are read are listed here and nowhere else. What people send besides is refused by its name,
with what to send instead.
"""

from PIL import features

from service.errors import InvalidImage, UnsupportedMediaType

FORMATS = ("PNG", "JPEG", "WebP", "AVIF", "BMP", "GIF", "TIFF")

_INSTEAD = f"Send {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
_JPEG_INSTEAD = "Send JPEG: the program or phone that made it can save or share it so."

# The first bytes of what is read, with Pillow's name for it.
_READ = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
    (b"MM*\0", "TIFF"),  # wrong, and read by Pillow and by libtiff as what is meant
    (b"II\0*", "TIFF"),
)

# The first bytes of what is not, with its name. PNM's letter is followed by white space.
_REFUSED = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"gimp xcf", "GIMP"),
    (b"\0\0\1\0", "a Windows icon"),
    (b"\0\0\2\0", "a Windows cursor"),
    (b"icns", "a macOS icon"),
    (b"BA", "an OS/2 bitmap array"),
    (b"\x8aMNG", "MNG"),
    (b"\x8bJNG", "JNG"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"\x01\xda", "SGI"),
    (b"\x59\xa6\x6a\x95", "a Sun raster picture"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"IIRO", "a camera's raw picture"),
    (b"IIU\0", "a camera's raw picture"),
    (b"FUJIFILMCCD-RAW", "a camera's raw picture"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    *[(b"P%d%c" % (kind, blank), "PNM (PBM, PGM or PPM)") for kind in range(1, 8) for blank in b" \t\r\n"],
    *[(b"P%c%c" % (kind, blank), "PFM") for kind in b"fF" for blank in b" \t\r\n"],
)

# What a picture has become on its way.
_MISTAKES = (
    (b"\x89PNG", "a PNG whose line ends were changed on its way: it has to be sent as binary, not as text"),
    (b"iVBORw0KGgo", "a PNG in Base64: send the bytes that it stands for"),
    (b"/9j/", "a JPEG in Base64: send the bytes that it stands for"),
    (b"data:", "a data URL: send the bytes that its Base64 stands for"),
)

# Words that stand early in text, in the order in which they are looked for.
_MARKUP = ((b"<svg", "SVG"), (b"<!doctype html", "HTML"), (b"<html", "HTML"), (b"<?xml", "XML"))

# Brands of files in boxes (ISO/IEC 14496-12, 4.3; 23000-22; the AVIF specification, section 6).
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_BRANDS = {b"mif1", b"msf1", b"mif2", b"miaf"}

_EARLY = 1024  # bytes, in which text shows what it is


def recognise(data: bytes) -> str:
    """Pillow's name of the format. Raises InvalidImage (empty) or UnsupportedMediaType, which names it."""
    if not data:
        raise InvalidImage("The picture is empty: it has no bytes.")
    image_format = sniff(data)
    if image_format == "AVIF" and not features.check("avif"):
        raise UnsupportedMediaType(f"AVIF is not read by this service's Pillow. {_JPEG_INSTEAD}")
    if image_format:
        return image_format
    raise UnsupportedMediaType(_refusal(data))


def sniff(data: bytes) -> str | None:
    """Pillow's name of the image format that the first bytes announce, or None if it is not read."""
    for magic, image_format in _READ:
        if data.startswith(magic):
            return image_format
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    return "AVIF" if _AVIF_BRANDS & _brands(data) else None


def _brands(data: bytes) -> set[bytes]:
    """Of a file in boxes: what it says that it can be read as; the major brand and those beside it."""
    if data[4:8] != b"ftyp":
        return set()
    box = data[8 : min(int.from_bytes(data[:4]), _EARLY)]
    return {box[at : at + 4] for at in range(0, len(box), 4) if at != 4}


def _refusal(data: bytes) -> str:
    if brands := _brands(data):
        if brands & _HEIC_BRANDS:
            return f"HEIC is not read. {_JPEG_INSTEAD}"
        if brands & _HEIF_BRANDS:
            return f"HEIF of this kind is not read. {_JPEG_INSTEAD}"
        return f"The file is a video or another file in boxes (ISO BMFF), and no picture. {_INSTEAD}"
    for magic, name in _REFUSED:
        if data.startswith(magic):
            instead = _JPEG_INSTEAD if name.startswith("JPEG") else _INSTEAD
            return f"The file is {name}, which is not read. {instead}"
    for magic, mistake in _MISTAKES:
        if data.startswith(magic):
            return f"The file is {mistake}."
    if name := _kind_of_text(data[:_EARLY]):
        return f"The file is {name}, which is not read. {_INSTEAD}"
    return f"Not a picture in a format that is read. {_INSTEAD}"


def _kind_of_text(early: bytes) -> str:
    """Of the first bytes of a file; "" if they are no text."""
    text = early.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for word, name in _MARKUP:
        if word in text and text.startswith(b"<"):
            return name
    if text.startswith((b"{", b"[")):
        return "JSON"
    printable = not any(byte < 9 or 13 < byte < 32 or byte == 127 for byte in text)
    return "text" if text and printable and _is_utf8(early) else ""


def _is_utf8(early: bytes) -> bool:
    """Whether it is, but for what may be cut off at its end."""
    try:
        early[: max(1, len(early) - 3)].decode()
    except UnicodeDecodeError:
        return False
    return True
