"""One look for all charts: colours that colour-blind readers can tell apart."""

from typing import Final

OKABE_ITO: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""The colours of Okabe and Ito (2008), in an order in which the first ones differ most in brightness, too."""
SCHEME: Final = "okabe_ito"
"""The name of these colours in Superset, which `superset_config.py` gives them."""
SEQUENCE: Final = "callweave_blues"
"""The name of a sequence from light to dark in Superset, for maps."""
BLUES: Final = ("#E8F1F8", "#9CC5E3", "#4F97C9", "#0072B2", "#003F63")
ALARM: Final = "#D55E00"
CALM: Final = "#0072B2"
