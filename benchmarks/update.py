"""What a few hundred rows of one's own bring to the packaged detector: trained from its weights, trained from the bare
encoder with the same settings, and the detector as it is. ROC-AUC on other rows, mean and deviation over the seeds.

    python -m benchmarks.update [mlma cad convabuse] [--rows 300] [--test 1000] [--seeds 3] [--epochs 2]
                                [--max_length 64]

mlma: English tweets that were sampled by slurs; no row of this set trained the detector. cad, convabuse: rows that the
recipe holds out of training (official development rows of Reddit comments, and of what people say to chat bots); others
of these sets trained it. The class is `toxic`; each seed draws its own rows. Real data, found through TOXICAI_DATA.
"""
import time

import numpy as np
from fastai.torch_core import set_seed

from benchmarks.common import *
from toxicai.all import *
from toxicai.judge.measures import masked_score

# Data: a frame with `text` and `toxic`, 0 or 1

def mlma():
    df = data_file('mlma_fr_ar_en')
    return df[(df.lang=='en') & (df.mixed_with_normal==0)]

def cad():
    df = data_file('cad_reddit')
    return df[df.split=='dev'].assign(toxic=df.abusive)

def convabuse():
    df = data_file('convabuse')
    return df[df.split=='validation'].assign(toxic=df.abusive)

tasks = dict(mlma=mlma, cad=cad, convabuse=convabuse)

def drawn(df, n, n_test, seed):
    "`n` rows to train on, 40 to watch the loss, which no choice depends on, and up to `n_test` others"
    key = df.text.str.lower().str.replace(r'\W+', '', regex=True)
    df = df[~key.duplicated() & (key!='')].sample(frac=1, random_state=seed)
    df = df[['text','toxic']].astype({'toxic':int}).reset_index(drop=True)
    return df[:n+40].assign(is_valid=df.index[:n+40]>=n),df[n:n+n_test]

def auc(probs, rest):
    return masked_score('roc_auc', rest[['toxic']].to_numpy(float), np.asarray(probs, float).reshape(-1, 1))

def trained(df, rest, start, seed, args):
    "AUC on `rest` of a learner that began with the weights `start`"
    set_seed(seed, reproducible=True)
    dls = ToxicityDataLoaders.from_df(df, start, label_cols=['toxic'], valid_col='is_valid', bs=16, val_bs=128,
                                      max_length=args.max_length, seed=seed)
    learn = toxicity_learner(dls, metrics=[], seed=seed)
    with learn.no_bar(),learn.no_logging():
        learn.fine_tune(args.epochs, args.lr)
        return auc(learn.classify(rest.text.tolist())['toxic'], rest)

def as_it_is(rest, det):
    "AUC of the detector without training"
    return auc(det.scores(rest.text.tolist())[:,det.labels.index('toxic')], rest)

def run(name, args):
    "Print the table of one set"
    df,det,start = tasks[name](),Detector(),time.perf_counter()
    parts = [drawn(df, args.rows, args.test, o) for o in range(args.seeds)]
    found = {'detector as it is':[as_it_is(rest, det) for _,rest in parts]}
    for k,o in (('from the bare encoder',packaged_encoder()), ('from the detector',None)):
        found[k] = [trained(*part, o, seed, args) for seed,part in enumerate(parts)]
        note({'set':name, k:mean_sd(found[k])})
    rows = [{'':k, 'AUC':mean_sd(v), **{f'seed {i}':o for i,o in enumerate(v)}} for k,v in found.items()]
    rest = parts[0][1]
    secs = time.perf_counter()-start
    show(rows, f'{name}: {args.rows} rows for training, {len(rest):,} for the AUC, {int(rest.toxic.sum()):,} of them '
               f'toxic; {args.epochs} epochs after one with the head alone, {args.max_length} tokens; {secs:.0f} s')

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('tasks', nargs='*', default=list(tasks), help=', '.join(tasks))
    p.add_argument('--rows', type=int, default=300)
    p.add_argument('--test', type=int, default=1000)
    p.add_argument('--seeds', type=int, default=3)
    p.add_argument('--epochs', type=int, default=2)
    p.add_argument('--max_length', type=int, default=64)
    p.add_argument('--lr', type=float, help='that of the learner without it')
    args = p.parse_args()
    check_choices(p, 'task', args.tasks, tasks)
    begin()
    for o in args.tasks: run(o, args)
