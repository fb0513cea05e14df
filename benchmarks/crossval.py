"""k folds end to end, as the published RoBERTuito tutorial on hate speech does by hand: several labels, the mean of the token vectors,
a head initialised by Xavier, dropout, early stopping, F1 out of fold, blended predictions of a test set. On the Spanish comments of
MeOffendES (`offendes`) and on the six labels of Jigsaw's challenge (`jigsaw`); real data, found through TOXICAI_DATA. A second call
goes on where the first was stopped. `--encoder` names another one, such as the multilingual one of the package index.

    python -m benchmarks.crossval [offendes jigsaw] [--rows 600] [--folds 5] [--epochs 3] [--seeds 1] [--workers 1]
                                  [--encoder FOLDER] [--folder folds] [--wandb]
"""
import time
from pathlib import Path

import numpy as np,pandas as pd
from torch import nn
from benchmarks.common import *
from toxicai.all import *
from toxicai.judge.measures import score_tables
from toxicai.runs.crossval import lack_words,lacking

offendes_labels = dict(obscene='NOE', offensive_person='OFP', offensive_group='OFG')

def offendes(n):
    "Comments to train on and the dev split for a test, a column for each label"
    df = data_file('offendes_es')
    for k,v in offendes_labels.items(): df[k] = (df.label==v).astype(int)
    sides = df[df.split=='train'],df[df.split=='dev']
    return [o.drop(columns='label').sample(min(n, len(o)), random_state=42) for o in sides]

def jigsaw(n):
    "Comments with all six labels; every fifth of those that are representative is for the test"
    df = data_file('jigsaw_train_part').dropna(subset=jigsaw_labels).rename(columns={'comment_text':'text'})
    df['id'] = range(len(df)) # not all of the rows have one of their own
    is_test = df.representative_sample.astype(bool) & (np.arange(len(df))%5==0)
    sides = df[~is_test],df[is_test]
    return [o[['id','text',*jigsaw_labels]].sample(min(n, len(o)), random_state=42) for o in sides]

sets = dict(offendes=(offendes, 'comment_id', list(offendes_labels)), jigsaw=(jigsaw, 'id', jigsaw_labels))

def tutorial_learner(dls):
    "Mean pooling, dropout, and a head initialised by Xavier"
    learn = toxicity_learner(dls, pooling='mean', dropout=0.2)
    nn.init.xavier_uniform_(learn.model.classifier.weight)
    nn.init.zeros_(learn.model.classifier.bias)
    return learn

def show_frame(df, title):
    "A dash where there is no figure"
    known = df.astype(object).where(df.notna(), '–').reset_index()
    show(known.to_dict('records'), title)

def split_table(res):
    "A single split beside all rows out of fold, with intervals of both"
    first = res.judged.take(res.rows.fold==0)
    found = {'one split':score_tables(first)[1], 'out of fold':score_tables(res.judged)[1]}
    res = pd.concat([df.assign(rows=k) for k,df in found.items()])
    res = res[res.metric.isin(['roc_auc','average_precision','f1_macro'])].set_index(['rows','metric'])
    return res[['value','low','high']].assign(width=res.high-res.low)

def blend_words(table, measure='roc_auc'):
    "The blend against the best of its networks, and against one of them on average"
    x = table[measure]
    own = x[[o for o in table.index if o.startswith('fold-')]]
    mean = next(o for o in table.index if o.startswith('mean of'))
    return (f'{measure} of the blend {x[mean]:.4f}; of the best network {own.max():.4f} ({own.idxmax()}, which only the labels of '
            f'the test set tell); of one on average {own.mean():.4f}')

def trained_folds(name, args): # `KFolds`
    "The folds of the set `name`, with a test set and a submission"
    make,key,labels = sets[name]
    train,test = make(args.rows)
    sample = test[[key]].assign(**{o:0.5 for o in labels})
    encoder = Path(args.encoder).name if args.encoder else 'english'
    place = Path(args.folder)/f'{name}-{args.rows}-{encoder}'
    how = dict(text_col='text', label_cols=labels, checkpoint=args.encoder or packaged_encoder(), max_length=128, bs=32)
    return kfold_fit(train, tutorial_learner, args.folds, place, sample, args.workers, test=test, wandb=args.wandb,
                     seeds=list(range(1, args.seeds+1)), fit=dict(epochs=args.epochs, base_lr=3e-4), **how)

def show_folds(res, title):
    "Figures of the folds, of thresholds, of a single split, and of the networks on the test set"
    shown = res.figures.drop(columns='folds')
    main_rows = [o for o in shown.index if o[0]=='all labels' or o[1]=='f1']
    show_frame(shown.loc[main_rows], title)
    for o in lack_words(lacking(res.rows)): print(f'\n{o}')
    tuned = res.thresholds.table[['n','positive','threshold','before','after','after_low','after_high']]
    show_frame(tuned, 'F1 out of fold, at 0.5 and at thresholds that were chosen in the other half')
    show_frame(split_table(res), 'a single split against all rows, at the thresholds out of fold')
    tested = res.test_figures()
    show_frame(tested, f'the networks on {len(res.test):,} test rows')
    print(f'\n{blend_words(tested)}')

def main(name, args):
    start = time.perf_counter()
    res = trained_folds(name, args)
    took = (time.perf_counter()-start)/60
    n = len(res.rows.fold)
    show_folds(res, f'{name}: {args.folds} folds of {n:,} rows, {took:.1f} minutes (this call); decisions at 0.5')
    place,errors = res.folder,res.interpret_errors()
    detector = res.save_detector(place/'detector')
    page = res.report(n_boot=0).save(place/'report.html')
    errors.to_csv(place/'label_errors.csv')
    print(f'\n{len(errors.label_errors)} labels to look at: {place/"label_errors.csv"}; report: {page}; '
          f'submission: {place/"submission.csv"}; {detector}')

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('sets', nargs='*', default=['offendes'])
    p.add_argument('--rows', type=int, default=600)
    p.add_argument('--folds', type=int, default=5)
    p.add_argument('--epochs', type=int, default=3)
    p.add_argument('--seeds', type=int, default=1)
    p.add_argument('--workers', type=int, default=1)
    p.add_argument('--encoder', help='folder or name on the Hub; the packaged English one by default')
    p.add_argument('--folder', default='folds')
    p.add_argument('--wandb', action='store_true', help='log each fold, offline, in one group within the folder')
    args = p.parse_args()
    check_choices(p, 'set', args.sets, sets)
    begin()
    for o in args.sets: main(o, args)
