"The wing `data`: any labelled comments in, loaders out; it knows the ground floor, `text` and `serve`, and not `judge`"
from .textfiles import *
from .rows import *
from .columns import *
from .comments import *
from .corpora import *
from .load import *
from .duplicates import *
from .splits import *
from .describe import *
from .encode import *
from .batches import *
from .loaders import *
from .show import *
