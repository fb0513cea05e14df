"Figures on the development rows: AUC with intervals by label, by source, and false alarms on benign rows"
import numpy as np,pandas as pd
from toxicai import Detector
from sklearn.metrics import roc_auc_score,average_precision_score
from .corpora import labels

def scores_of(folder, texts, backend='auto'):
    "Probabilities; shape (n, 6)"
    return Detector(folder, backend).scores(list(texts))

def auc_row(targs, probs):
    known = np.isfinite(targs)
    y,p = targs[known]>=0.5,probs[known]
    if not 0<y.sum()<len(y): return dict(rows=len(y), positives=int(y.sum()))
    return dict(rows=len(y), positives=int(y.sum()), auc=roc_auc_score(y, p), ap=average_precision_score(y, p))

def label_table(dev, probs):
    "By label, on all development rows and on the representative comments of Jigsaw"
    jig = (dev.source=='jigsaw_train_part').to_numpy()
    sixes = dev.source.str.startswith('jigsaw').to_numpy()
    rows = [dict(set=name, label=o, **auc_row(dev[o].to_numpy()[at], probs[at,i]))
            for i,o in enumerate(labels) for name,at in (('jigsaw representative',jig), ('jigsaw all',sixes), ('all',np.ones(len(dev), bool)))]
    return pd.DataFrame(rows)

def source_table(dev, probs, thresh=0.5):
    "By source: AUC of `toxic` and of `identity_attack`, and the share of benign rows that are flagged"
    rows = []
    for name,at in dev.reset_index(drop=True).groupby('source').indices.items():
        part,p = dev.iloc[at],probs[at]
        benign = (part.toxic<=0.1).to_numpy()|(part.identity_attack==0).to_numpy()&part.toxic.isna().to_numpy()
        row = dict(source=name, **auc_row(part.toxic.to_numpy(), p[:,0]), benign=int(benign.sum()), alarms=(p[benign,0]>=thresh).mean())
        row['auc identity'] = auc_row(part.identity_attack.to_numpy(), p[:,-1]).get('auc')
        rows.append(row)
    return pd.DataFrame(rows)
