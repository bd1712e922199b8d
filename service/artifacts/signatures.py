"""Ed25519 signatures (RFC 8032) over manifests: whose artifacts may be loaded.

The manifest names the SHA-256 of the archive, so its signature covers both. With trusted keys set, nothing
else is parsed before the signature is verified, and nothing unsigned is ever given to `torch.jit.load`.
"""

import base64
import binascii
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from service.artifacts.files import read_regular
from service.artifacts.manifest import SIGNATURE_FILE, ArtifactError, ArtifactUnreadable
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import (
    MAX_MODEL_BYTES,
    MAX_SIGNATURE_BYTES,
    read_manifest,
    read_model,
    read_of_version,
    title,
)
from service.settings import Settings

MAX_KEYS_BYTES = 1024 * 1024

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----\n?", re.S)


class KeyUnusable(Exception):
    """A key file is missing or holds no Ed25519 key."""


def make_keys() -> tuple[bytes, bytes]:
    """A new private key and its public key, both PEM."""
    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def _unreadable(path: Path, error: Exception) -> KeyUnusable:
    return KeyUnusable(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")


class SigningKey:
    """The private key of a publisher.

    Raises KeyUnusable.
    """

    def __init__(self, path: Path) -> None:
        try:
            key = load_pem_private_key(_read(path), password=None)
        except OSError as error:
            raise _unreadable(path, error) from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyUnusable(f"{path} holds no private key: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnusable(f"{path} holds no Ed25519 key")
        self._key = key

    def sign(self, manifest: bytes) -> bytes:
        """What the signature file holds: one line of base64."""
        return base64.b64encode(self._key.sign(manifest)) + b"\n"


class TrustedKeys:
    """The public keys of those whose artifacts may be served: one PEM file with one or more.

    `content`: what another process read of the file, which is then not touched here. Raises KeyUnusable.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        try:
            self.content = read_regular(path, MAX_KEYS_BYTES) if content is None else content
            keys = [load_pem_public_key(pem) for pem in _PEM.findall(self.content)]
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise _unreadable(path, error) from error
        self._keys = [key for key in keys if isinstance(key, Ed25519PublicKey)]
        if not self._keys or len(self._keys) != len(keys):
            raise KeyUnusable(f"{path} must hold Ed25519 public keys and nothing else")

    def verify(self, folder: Path, manifest: bytes) -> None:
        """Raises ArtifactError unless one of the keys signed these very bytes."""
        document = _signature(folder)
        if document is None:
            raise ArtifactUnreadable(f"{title(folder)} is not signed", missing=True)
        try:
            signature = base64.b64decode(document)
        except binascii.Error as error:
            raise ArtifactError(f"{title(folder)}/{SIGNATURE_FILE} is no base64: {error}") from error
        for key in self._keys:
            try:
                key.verify(signature, manifest)
                return
            except InvalidSignature:
                continue
        raise ArtifactError(f"{title(folder)} is not signed by a trusted key")


def trusted_by(settings: Settings, content: bytes | None = None) -> TrustedKeys | None:
    """The keys that settings name; None where no signature is asked for. Raises KeyUnusable."""
    return TrustedKeys(settings.trusted_keys, content) if settings.trusted_keys else None


def sign_published(
    store: ArtifactStore,
    name: str,
    version: int,
    key: SigningKey,
    replace: bool = False,
    max_model_bytes: int = MAX_MODEL_BYTES,
) -> bool:
    """Sign a version that is published, whose archive has the SHA-256 of its manifest.

    The signature appears whole, beside the manifest whose bytes were read. False: this key had signed it.
    Raises ArtifactError, also where another signature is there and is not to be replaced, and OSError.
    """
    folder = store.folder(name, version)
    documents: list[bytes] = []
    manifest = read_manifest(folder, lambda _, document: documents.append(document))
    read_model(folder, manifest, max_model_bytes)
    signature = key.sign(documents[0])
    with store.publishing(name):
        there = _signature(folder)
        if there == signature:
            return False
        if there is not None and not replace:
            raise ArtifactError(
                f"{title(folder)} has another signature already; --replace puts this key's in its place"
            )
        store.sign(name, version, signature)
    return True


def _read(path: Path) -> bytes:
    """A file or, as a shell hands over what a command prints, a pipe. Raises OSError or ValueError."""
    with path.open("rb") as file:
        content = file.read(MAX_KEYS_BYTES + 1)
    if len(content) > MAX_KEYS_BYTES:
        raise ValueError(f"it has more than {MAX_KEYS_BYTES} bytes")
    return content


def _signature(folder: Path) -> bytes | None:
    """The signature, or None where there is none. Raises ArtifactUnreadable."""
    try:
        return read_of_version(folder, SIGNATURE_FILE, MAX_SIGNATURE_BYTES)
    except ArtifactUnreadable as error:
        if error.missing:
            return None
        raise
