"What users get, in the order of the wings; made for `from toxicai.all import *`"
from importlib.util import find_spec as _find_spec

if _find_spec('fastai') is None:
    raise ImportError("`toxicai.all` is for training and needs fastai: `pip install toxicai`; "
                      "to serve a detector folder, `from toxicai import Detector` is enough")
from toxicai.quiet import import_quietly as _import_quietly
_import_quietly('tqdm.auto','fastai.layers') # what they warn of is not ours
from toxicai.probabilities import Calibration
from toxicai.labels import LabelSet,canonical
from toxicai.tables import Report
from toxicai.text.all import *
from toxicai.serve.all import *
from toxicai.judge.all import *
from toxicai.data.all import *
from toxicai.train.all import *
from toxicai.runs.all import *
import toxicai.helptexts as _helptexts

_helptexts.put_help() # what arguments are, behind the docstrings
