"The wing `train`: the Learner. It knows every wing before it"
from .losses import (
    add_loss,loss_classes,balanced_weight,balanced_pos_weight,identity_weights,MaskedLoss,MaskedBCELoss,
    MaskedFocalLoss,MaskedAsymmetricLoss,MaskedCELoss,MaskedFocalCELoss,OrdinalLoss)
from .metrics import MaskedMetric,label_metric,label_metrics,MaskedRocAuc,MaskedAveragePrecision,MaskedF1,BiasAuc
from .optimizer import adamw
from .callbacks import HFInputs,AutoPrecision,FrozenBody,FiniteLoss
from .provenance import seed_everything
from .averaging import EMA,Soup,GradualUnfreezing
from .lora import add_lora,merge_lora
from .learner import TransformerLearner,toxicity_learner
from . import verbs as _verbs # methods of the learner
from .export import push_folder,detector_from_pickle
from . import distil as _distil # methods of the learner
from . import distributed as _distributed # the same
import toxicai.helptexts as _helptexts

_helptexts.put_help() # what arguments are, behind the docstrings
