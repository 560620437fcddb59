"""A bucket of a server on this machine that speaks S3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the URL of an empty bucket, which this process and those that it starts reach."""
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs: pip install 'squeeze_segnet_ros[fleet-test]'")
    moto = pytest.importorskip(
        "moto.server", reason="needs moto: pip install 'squeeze_segnet_ros[fleet-test]'"
    )
    import fsspec

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    # An earlier test leaves connections to its server, and buckets, which all servers of a process share.
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"fleet-{port}"
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(name)
    yield f"s3://{name}"
    server.stop()
