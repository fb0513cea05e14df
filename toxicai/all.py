"Everything a notebook needs, in the order of the layers; made for `from toxicai.all import *`"
from importlib.util import find_spec as _find_spec
if _find_spec('fastai') is None: raise ImportError("`toxicai.all` is for training and needs fastai: `pip install toxicai`; to serve a detector folder, `from toxicai import Detector` is enough")
from toxicai.probabilities import *
from toxicai.labels import *
from toxicai.files import *
from toxicai.strings import *
from toxicai.tables import *
from toxicai.text.all import *
from toxicai.serve.all import *
from toxicai.judge.all import *
from toxicai.data.all import *
from toxicai.train.all import *
from toxicai.runs.all import *
