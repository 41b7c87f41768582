"""Prints the test vectors of the vault's format, version 1; see README.md beside it."""

import base64
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DOMAIN = b"quartermaster/vault/v1"


def fields(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def derive(key: bytes, salt: bytes, label: bytes, usage: bytes) -> bytes:
    extracted = hmac.digest(salt, key, "sha256")
    return hmac.digest(extracted, fields(DOMAIN, label, usage) + b"\x01", "sha256")


def capsule(key, label, context, plaintext, salt, nonce) -> bytes:
    commitment = hmac.digest(derive(key, salt, label, b"commit"), fields(nonce, context), "sha256")
    sealed = AESGCM(derive(key, salt, label, b"encrypt")).encrypt(nonce, plaintext, context)
    return salt + nonce + commitment + sealed


counter = 0


def draw(length: int) -> bytes:
    global counter
    drawn = bytes((counter + index) % 256 for index in range(length))
    counter += length
    return drawn


def header(kind: int) -> bytes:
    return b"QMVT" + bytes([1, kind, 1])


organization_key, organization_key_id = b"\x5a" * 32, b"\xa5" * 16
organization_id = (1).to_bytes(16, "big")
alias = b"mca_" + base64.b32encode(b"\x01" * 16).rstrip(b"=").lower()

prefix = header(1) + organization_key_id
context = fields(
    prefix, organization_id, alias, struct.pack(">I", 1), b"provider_api_key", b"openai",
    b"https://api.openai.com",
)
data_key = draw(32)
salt, nonce = draw(32), draw(12)
wrapped = capsule(organization_key, b"data-key", context, data_key, salt, nonce)
secret = b"sk-live-0123456789"
padded = (struct.pack(">I", len(secret)) + secret).ljust(64, b"\0")
salt, nonce = draw(32), draw(12)
print("secret", (prefix + wrapped + capsule(data_key, b"secret", context, padded, salt, nonce)).hex())

root_key = b"\x3c" * 32
identity = derive(root_key, b"quartermaster", b"root-key-id", b"")[:10]
root_key_id = b"rk_" + base64.b32encode(identity).lower()
print("root-key-id", root_key_id.hex())

prefix = header(2) + organization_key_id + root_key_id
context = fields(prefix, organization_id)
print("organization-key", (prefix + capsule(
    root_key, b"organization-key", context, organization_key, b"\x11" * 32, b"\x12" * 12)).hex())

prefix = header(3) + root_key_id
print("canary", (prefix + capsule(
    root_key, b"canary", fields(prefix), b"quartermaster canary", b"\x13" * 32, b"\x14" * 12)).hex())
