"The wing `runs`: many trainings. It knows every wing"
from .snapshots import read_checkpoint,has_checkpoint
from .checkpoints import Checkpoint
from .tracking import GradNorm,masked_text,run_config,WandbRun
from .configs import Setting,sweepable,SettingError,train_config
from .sweeps import Sweep,sweep
from .crossval import kfold_fit
import toxicai.helptexts as _helptexts

_helptexts.put_help() # what arguments are, behind the docstrings
