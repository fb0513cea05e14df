"Everything a notebook needs, in the order of the layers; made for `from toxicai.all import *`"
from toxicai.labels import *
from toxicai.evasion import *
from toxicai.rules import *
from toxicai.attacks import *
from toxicai.text import *
from toxicai.datasets import *
from toxicai.duplicates import *
from toxicai.splits import *
from toxicai.describe import *
from toxicai.data import *
from toxicai.models import *
from toxicai.losses import *
from toxicai.metrics import *
from toxicai.callbacks import *
from toxicai.repeat import *
from toxicai.learner import *
from toxicai.checkpoints import *
