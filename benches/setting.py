"""What a measurement works with: the data and the databases that hold it."""

from __future__ import annotations

from dataclasses import dataclass

from latentdb import LatentDB, Server
from peers.postgres import Postgres
from synthetic import Synthetic


@dataclass(frozen=True)
class Setting:
    """One export, loaded on both sides. Postgres runs; LatentDB's server starts for each measurement."""

    data: Synthetic
    latentdb: LatentDB
    postgres: Postgres
    streams: int

    def server(self) -> Server:
        return self.latentdb.serve()

    def load_what_is_missing(self) -> None:
        if not self.latentdb.loaded:
            self.latentdb.load(self.data.export)
        if not self.postgres.loaded:
            self.postgres.load(self.data, self.streams)
            self.postgres.settle()
