"Calibration and the three sets of thresholds, from the development rows"
import warnings

import numpy as np
from toxicai import Detector
from toxicai.labels import LabelSet
from toxicai.judge.judged import Judged
from toxicai.judge.calibration import calibrated
from toxicai.judge.thresholds import tuned_thresholds
from .corpora import labels

goals = dict(balanced='f1', cautious=('fpr',0.01), watchful=('recall',0.95))

def jigsaw_targets(dev):
    "Targets of the development rows as calibration reads them; shape (n, 6)"
    # Shares of annotators become 0 or 1. Prevalence matters to calibration and F1: `toxic` counts on the comments of
    # Jigsaw as they come; the rarer labels, which few of those know, on all of Jigsaw; threats, the rarest, everywhere.
    targs = (dev[list(labels)].to_numpy(float)>=0.5).astype(float)
    targs[dev[list(labels)].isna().to_numpy()] = np.nan
    jigsaw = dev.source.str.startswith('jigsaw').to_numpy()
    as_they_come = (dev.source=='jigsaw_train_part').to_numpy()
    for i,o in enumerate(labels):
        if o!='threat': targs[~(as_they_come if o=='toxic' else jigsaw),i] = np.nan
    return targs

def world_targets(dev, most=1000, seed=42):
    "The same for several languages: `toxic` counts on up to `most` rows of each, so that none decides alone; shape (n, 6)"
    targs = jigsaw_targets(dev)
    asked = dev[(dev.lang!='en')|(dev.source=='jigsaw_train_part')]
    chosen = [i for _,o in asked.groupby('lang') for i in o.sample(min(most, len(o)), random_state=seed).index]
    targs[:,0] = np.nan
    targs[chosen,0] = dev.toxic[chosen]>=0.5
    return targs

def judged_dev(folder, dev, backend, targets=jigsaw_targets):
    "What a detector without calibration says of the development rows"
    found = Detector(folder, backend)(dev.text.tolist(), 'all')
    return Judged(found.scores, targets(dev), found.labels, dev.text.tolist(), logits=found.logits)

def figures_of(table):
    "{label: figures} of a table of thresholds, under the names that a detector folder has"
    cols = dict(threshold='threshold', precision='precision', recall='recall', fpr='false_positive_rate')
    return table[list(cols)].rename(columns=cols).astype(float).to_dict('index')

def decisions(judged):
    "The labels with calibration and balanced thresholds, and {use: {label: figures}}"
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        found = calibrated(judged, 'platt', cross_fit=True)
        judged = judged.with_labels(found.labels)
        tuned = {k:tuned_thresholds(judged, v, cross_fit=True) for k,v in goals.items()}
    labelled = found.labels.with_thresholds(tuned['balanced'].labels.thresholds)
    return found,labelled,{k:figures_of(t.table) for k,t in tuned.items()}
