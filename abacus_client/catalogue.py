"""What the service says of its models, as far as a client goes by it. Newer fields are ignored."""

from pydantic import BaseModel, ConfigDict


class Described(BaseModel):
    model_config = ConfigDict(frozen=True)


class Column(Described):
    """Of a table's rows."""

    name: str
    dtype: str = "float32"
    units: str = ""
    minimum: float | None = None
    maximum: float | None = None
    categories: list[str] = []
    optional: bool = False


class Input(Described):
    """Of a table its columns; of pictures the size that they are brought to."""

    columns: list[Column] = []
    height: int | None = None
    width: int | None = None
    channels: int | None = None


class Output(Described):
    """`kind`: "classes", "binary" or "numbers"."""

    kind: str
    labels: list[str]
    threshold: float | None = None
    units: str = ""


class Manifest(Described):
    """`kind`: "table", "picture" or "digit"."""

    name: str
    version: int
    kind: str
    input: Input
    output: Output

    @property
    def takes_rows(self) -> bool:
        return self.kind == "table"

    @property
    def columns(self) -> list[str]:
        """The names of a table's, in order."""
        return [column.name for column in self.input.columns]


class Model(Described):
    """`version`: the live one. `loaded`: those that can be asked for. `labels`: stable and canary."""

    name: str
    ready: bool
    device: str
    version: int | None
    loaded: list[int]
    labels: dict[str, int]
    available: list[int]
    refused: str | None
    manifest: Manifest | None


class Catalogue(Described):
    models: list[Model]
