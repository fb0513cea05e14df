"The wing `train`: the Learner; it knows every wing before it"
from .losses import *
from .metrics import *
from .optimizer import *
from .callbacks import *
from .provenance import *
from .averaging import *
from .lora import *
from .loop import *
from .learner import *
from .verbs import *
from .onnx import *
from .export import *
