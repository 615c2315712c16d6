"""Work on an existing Dask cluster: one task a file, or the rows of a large file spread over it.

Whatever is bulky goes by path: the workers must see the same files under the same names as the
machine that asks (NFS, Lustre). What is sent back is small. Dask itself runs the tasks of a
worker that dies on another one; a task that four workers died of (Dask's `allowed-failures`) is
lost, and `nccli.batch` tries its file once more, alone.

    with cluster_engine("tcp://host:8786", files=len(paths)) as engine:
        for answer in each(paths, work, engine=engine): ...
"""

from nccli.cluster.connection import Disconnected, connect
from nccli.cluster.engine import SPLIT_BYTES, cluster_engine
from nccli.cluster.rows import ClusterWorkers

__all__ = ["SPLIT_BYTES", "ClusterWorkers", "Disconnected", "cluster_engine", "connect"]
