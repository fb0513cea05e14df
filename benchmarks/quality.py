"""What the fine-tuned packaged encoder learns with the defaults of the library, beside TF-IDF and logistic regression
(plain and class-balanced) on the same split. Real data, found through TOXICAI_DATA.

    python -m benchmarks.quality [davidson davidson_weighted jigsaw sst2 mrpc] [--epochs 2] [--seeds 3]
"""
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from fastai.losses import CrossEntropyLossFlat
from fastai.torch_core import set_seed
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score,average_precision_score,f1_score,roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.class_weight import compute_class_weight

from benchmarks.common import *
from toxicai.all import *

# Data: a frame with a column `is_valid`, the text columns and the label columns

def davidson():
    df = data_file('davidson')[['text','label_name']]
    _,valid = train_test_split(np.arange(len(df)), test_size=0.2, stratify=df.label_name, random_state=42)
    return df.assign(is_valid=np.isin(np.arange(len(df)), valid)),'text','label_name'

def jigsaw():
    df = data_file('jigsaw_train_part')
    key = df.comment_text.str.lower().str.replace(r'[^\w\s]', '', regex=True)
    df = df[~key.duplicated()].reset_index(drop=True)
    _,valid = train_test_split(np.arange(len(df)), test_size=0.1, random_state=42)
    df = df.assign(is_valid=np.isin(np.arange(len(df)), valid))
    return df[['comment_text','is_valid']+jigsaw_labels],'comment_text',jigsaw_labels

def sst2():
    df = data_file('glue_sst2')
    train = df[df.split=='train'].sample(20_000, random_state=42)
    df = pd.concat([train, df[df.split!='train']], ignore_index=True)
    df['label'] = df.label.map({0:'negative', 1:'positive'})
    return df.assign(is_valid=df.split!='train')[['sentence','label','is_valid']],'sentence','label'

def mrpc():
    df = data_file('glue_mrpc')
    df['label'] = df.label.map({0:'different', 1:'same'})
    df = df.assign(is_valid=df.split!='train')
    return df[['sentence1','sentence2','label','is_valid']],['sentence1','sentence2'],'label'

# Figures

def single_figures(targs, probs):
    pred = probs.argmax(1)
    return dict(accuracy=accuracy_score(targs, pred), macro_f1=f1_score(targs, pred, average='macro'))

def multi_figures(targs, probs):
    "ROC-AUC and average precision per label on its annotated rows, and their means"
    res = {}
    for name,t,p in zip(jigsaw_labels, targs.T, probs.T):
        known = ~np.isnan(t)
        res[f'auc {name}'] = roc_auc_score(t[known], p[known])
        res[f'ap {name}'] = average_precision_score(t[known], p[known])
    def _mean(what): return np.mean([v for k,v in res.items() if k.startswith(what)])
    return {'mean_auc':_mean('auc'), 'mean_ap':_mean('ap'), **res}

# Baseline

def baseline(df, text, label, weight):
    "Probabilities of TF-IDF (words and pairs of words) and logistic regression"
    x = df[text] if isinstance(text, str) else df[text[0]]+' ‖ '+df[text[1]]
    def _probs(y, rows):
        tfidf = TfidfVectorizer(ngram_range=(1,2), min_df=2, sublinear_tf=True)
        lr = LogisticRegression(C=10, max_iter=1000, class_weight=weight)
        return make_pipeline(tfidf, lr).fit(x[rows], y[rows]).predict_proba(x[df.is_valid])
    train = ~df.is_valid
    if isinstance(label, str): return _probs(df[label], train)
    return np.stack([_probs(df[o], train & df[o].notna())[:,1] for o in label], axis=1)

# Ours

def class_weights(y, vocab):
    "Square root of the inverse frequency of each class: full balance would cost accuracy; shape (n_classes,)"
    balanced = compute_class_weight('balanced', classes=np.array(vocab), y=y)
    return torch.tensor(balanced**0.5, dtype=torch.float32)

def ours(df, text, label, seed, epochs, weighted):
    "Probabilities of the fine-tuned packaged encoder with the defaults of the library"
    set_seed(seed, reproducible=True)
    dls = ToxicityDataLoaders.from_df(df, packaged_encoder(), text_col=text, label_cols=label, valid_col='is_valid')
    args = {}
    if weighted: args['loss_func'] = CrossEntropyLossFlat(weight=class_weights(df[label][~df.is_valid], dls.vocab))
    learn = toxicity_learner(dls, **args)
    with learn.no_bar(),learn.no_logging():
        learn.fine_tune(epochs)
        return learn.get_preds()[0].numpy()

# Tables

@dataclass
class Task:
    "One table"
    data: Callable # Returns a frame, the text column or columns, the label column or columns
    epochs: int = 2 # With the whole network, after one with the head alone
    n_seeds: int = 1
    weighted: bool = False # Class weights in our loss?

tasks = dict(
    davidson=Task(davidson, epochs=1, n_seeds=3),
    davidson_weighted=Task(davidson, n_seeds=3, weighted=True),
    jigsaw=Task(jigsaw, epochs=1),
    sst2=Task(sst2),
    mrpc=Task(mrpc, n_seeds=3))

def _timed(name, f, targs, figures):
    start = time.perf_counter()
    probs = f()
    res = {'':name, 'seconds':round(time.perf_counter()-start), **figures(targs, probs)}
    note(res)
    return res

def _spread(rows, name):
    "Mean and standard deviation over the seeds"
    res = {k:mean_sd([r[k] for r in rows]) for k in rows[0] if k not in ('','seconds')}
    return {**rows[0], **res, '':name, 'seconds':round(np.mean([r['seconds'] for r in rows]))}

def run(
    name:str, # A key of `tasks`
    epochs:int=None, # Instead of the task's own
    n_seeds:int=None, # Instead of the task's own
):
    "Print the table of one task"
    task = tasks[name]
    epochs,n_seeds = epochs or task.epochs,n_seeds or task.n_seeds
    df,text,label = task.data()
    valid = df[df.is_valid]
    single = isinstance(label, str)
    figures = single_figures if single else multi_figures
    targs = valid[label].map(sorted(df[label].unique()).index) if single else valid[label].astype(float)
    def _row(name, f, *args): return _timed(name, partial(f, df, text, label, *args), targs.to_numpy(), figures)
    lib = f'toxicai{", class weights" if task.weighted else ""}'
    rows = [_row(f'TF-IDF + LR, {w or "plain"}', baseline, w) for w in (None,'balanced')]
    rows += [_row(f'{lib}, seed {seed}', ours, seed, epochs, task.weighted) for seed in range(n_seeds)]
    if n_seeds>1: rows.append(_spread(rows[2:], f'{lib}, mean of {n_seeds}'))
    show(rows, f'{name}: {len(df)-len(valid):,} rows for training, {len(valid):,} for validation, '
               f'{epochs} epoch{"s"*(epochs>1)} after one with the head alone')

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('tasks', nargs='*', default=list(tasks), help=', '.join(tasks))
    p.add_argument('--epochs', type=int, help="instead of each task's own")
    p.add_argument('--seeds', type=int, help="instead of each task's own")
    args = p.parse_args()
    check_choices(p, 'task', args.tasks, tasks)
    begin()
    for o in args.tasks: run(o, args.epochs, args.seeds)
