"""Ways into MuData: from AnnData objects, and from tables or files of them."""

from .anndatas import from_anndatas
from .dataframes import from_dataframes

__all__ = ["from_anndatas", "from_dataframes"]
