"The wing `judge`: arrays in, tables and figures out. It knows the ground floor, `text` and `serve`, and neither `data` nor fastai, torch and transformers"
from .intervals import wilson,bootstrap
from .judged import Judged
from .measures import (
    measure_table,add_measure,masked_score,masked_scores,calibration_error,score_tables,decision_table,confusion_table)
from .figures import report_figures,add_figure
from .thresholds import Goal,best_threshold,Thresholds,tuned_thresholds
from .calibration import fit_calibration,CalibrationReport,calibrated
from .report import JudgementReport,judge
from .errors import label_errors,ErrorReport,find_errors,read_relabelled
from .bias import subgroup_auc,bpsn_auc,bnsp_auc,bias_auc,group_columns,bias_table,BiasReport
from .behaviour import behaviour_kinds,behaviour_tables,behaviour_cases,behaviour_table,BehaviourReport
from .explain import Explanation,explain_methods
import toxicai.helptexts as _helptexts

_helptexts.put_help() # what arguments are, behind the docstrings
