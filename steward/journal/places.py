"""Where a SQLite journal lies: SQLite needs a disk of this machine, not one across a network.

Its write-ahead log is shared by processes through memory, and its locks are the kernel's: on a
network file system two machines see neither, and the journal is damaged without a word
(https://sqlite.org/wal.html, https://sqlite.org/howtocorrupt.html).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from steward.errors import ConfigurationError

MOUNT_TABLE = Path("/proc/self/mountinfo")
"""Linux alone has it; elsewhere nothing is known and nothing refused."""
NETWORK_KINDS = re.compile(
    r"9p|afs|beegfs|ceph|cifs|coda|davfs|gfs2?|glusterfs|gpfs|lustre|ncpfs|nfs\d?|ocfs2|orangefs"
    r"|pvfs2|smb\d|smbfs|vboxsf|vmhgfs"
)
NETWORK_FUSE = re.compile(
    r"fuse\.(sshfs|s3fs|gcsfuse|rclone|glusterfs|ceph.*|davfs.*|smb.*|mount-s3|goofys|juicefs"
    r"|blobfuse.*|vmhgfs-fuse|nfs.*|curlftpfs|mfs|moosefs|lizardfs|seaweedfs|weed)"
)


@dataclass(frozen=True, slots=True)
class Mount:
    """The file system of a directory: where it is mounted, and of what kind it is."""

    point: str
    kind: str

    @property
    def is_network(self) -> bool:
        return any(kinds.fullmatch(self.kind) for kinds in (NETWORK_KINDS, NETWORK_FUSE))


def mount_of(directory: Path, *, mount_table: Path = MOUNT_TABLE) -> Mount | None:
    """The mount that a directory lies on; None where the system does not tell."""
    try:
        lines = mount_table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = directory.resolve()
    found: Mount | None = None
    for line in lines:  # of mounts at the same point the last one covers the others
        mount = _parsed(line)
        is_above = mount is not None and place.is_relative_to(mount.point)
        if mount and is_above and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def refuse_network(file: Path, *, mount_table: Path = MOUNT_TABLE) -> None:
    """Accept a SQLite journal on a disk of this machine only.

    Raises:
        ConfigurationError: it lies on a network file system; the sentence names the mount.

    """
    mount = mount_of(file.parent, mount_table=mount_table)
    if mount and mount.is_network:
        raise ConfigurationError(
            f"The journal {file} lies on {mount.point}, a network file system ({mount.kind}), "
            "which damages SQLite's files. Set STEWARD_DATA_DIR to a disk of this machine, or keep "
            "the journal in PostgreSQL: STEWARD_DATABASE_URL=postgresql://USER:PASSWORD@HOST/NAME."
        )


def _parsed(line: str) -> Mount | None:
    """One line: numbers, root, mount point, options ... ``-``, kind, source, options."""
    before, separator, after = line.partition(" - ")
    fields = before.split(" ")
    if not separator or len(fields) < 5:  # noqa: PLR2004  # the mount point is the fifth
        return None
    point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
    return Mount(point, after.split(" ", 1)[0])
