"What tests of several rooms share: targets and probabilities, an ordinary user"
import os
from contextlib import contextmanager

import numpy as np

nan = float('nan')

def columns(seed=0, n=80, n_classes=6, ties=True):
    "Flags with gaps: class 1 has positives only, class 2 negatives only, class 3 no label, class 4 two labels; and probabilities"
    rng = np.random.default_rng(seed)
    probs,targs = rng.random((n, n_classes)),rng.integers(0, 2, (n, n_classes)).astype(float)
    targs[rng.random((n, n_classes))<0.3] = nan
    for j,v in ((1,1.), (2,0.)): targs[:,j] = np.where(np.isnan(targs[:,j]), nan, v)
    targs[:,3:5] = nan
    targs[:2,4] = [0,1]
    return targs,probs.round(1) if ties else probs

def numbers(seed=0, n=90, n_classes=4, gaps=0.2):
    "Class numbers with gaps, and probabilities that sum to 1"
    rng = np.random.default_rng(seed)
    targs = rng.integers(0, n_classes, n)
    targs[rng.random(n)<gaps] = -1
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), targs] += 1
    return targs,np.exp(logits)/np.exp(logits).sum(1, keepdims=True)

@contextmanager
def as_nobody():
    "An ordinary user in this process, where tests run as root"
    if os.geteuid()==0: os.seteuid(65534)
    try: yield
    finally:
        if os.getuid()==0: os.seteuid(0)
