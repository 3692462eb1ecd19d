import pytest

from data_pipelines.fetching import checksums


@pytest.mark.parametrize(
    ("data", "kind", "value"),
    [
        (b"abc", "sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),  # FIPS 180-2, B.1.
        (b"abc", "md5", "900150983cd24fb0d6963f7d28e17f72"),  # RFC 1321, A.5.
        (b"123456789", "crc32c", "e3069283"),  # The check value of CRC-32C (Castagnoli).
    ],
)
def test_published_values(data, kind, value, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(data)
    assert checksums.checksum_bytes(data, kind) == checksums.checksum_file(path, kind) == (kind, value)


def test_a_file_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "_CHUNK", 4)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(11)))
    assert checksums.checksum_file(path, "sha256") == checksums.checksum_bytes(bytes(range(11)), "sha256")
