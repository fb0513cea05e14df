"The wing `runs`: many trainings; it knows every wing"
from .snapshots import *
from .checkpoints import *
from .tracking import *
from .configs import *
from .sweeps import *
