"The wing `judge`: arrays in, tables and figures out; it knows the ground floor, `text` and `serve`, and neither `data` nor fastai"
from .intervals import *
from .judged import *
from .measures import *
from .figures import *
from .thresholds import *
from .calibration import *
from .report import *
from .errors import *
from .bias import *
from .behaviour import *
from .explain import *
