"""Long texts in training: windows whose outputs become one, against cutting, each for the same time on the same card or cores. Reviews
of films, half of them favourable; as many steps as fit the time, measured on the first ones; figures on reviews that were not seen.

    python -m benchmarks.windows [--rows 10000] [--valid 2000] [--seconds 600] [--seeds 1] [--checkpoint FOLDER] [--ways windows-256 ...]
"""
import time

from benchmarks.common import *

ways = {'cut-256':dict(max_length=256), 'cut-512':dict(max_length=512), 'head-tail-256':dict(max_length=256, cut='head_tail'),
        'head-tail-512':dict(max_length=512, cut='head_tail'), 'windows-256':dict(max_length=256, long='windows'),
        'mean-256':dict(max_length=256, long='mean_windows'), 'windows-128':dict(max_length=128, long='windows')}

def loaders(df, args, how, seed):
    from toxicai.all import ToxicityDataLoaders
    return ToxicityDataLoaders.from_df(df, args.checkpoint, label_cols='positive', valid_col='validates', bs=16, seed=seed, **how)

def step_seconds(dls, seed, n=6):
    "Median seconds of a training step"
    from toxicai.all import toxicity_learner
    from fastai.basics import CancelFitException,Callback
    times = []
    class Clock(Callback):
        def before_batch(self): self.at = time.perf_counter()
        def after_batch(self):
            if self.training: times.append(time.perf_counter()-self.at)
            if len(times)==n: raise CancelFitException()
    learn = toxicity_learner(dls, metrics=[], seed=seed)
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-4, cbs=Clock())
    return median(times[1:])

def trained(df, args, how, seed):
    "Figures after `args.seconds` of training"
    from toxicai.all import toxicity_learner
    seconds = step_seconds(loaders(df, args, how, seed), seed)
    train,steps = df[~df.validates],max(4, int(args.seconds/seconds))
    n = steps*16
    rows = pd.concat([train.sample(frac=1, random_state=seed)]*-(-n//len(train)))[:n]
    dls = loaders(pd.concat([rows, df[df.validates]], ignore_index=True), args, how, seed)
    learn = toxicity_learner(dls, metrics=[], seed=seed)
    start = time.perf_counter()
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1)
    took = time.perf_counter()-start
    with learn.no_bar(): j = learn.judged()
    from sklearn.metrics import roc_auc_score
    y,p = j.targs[:,0],j.probs[:,0]
    return {'steps':steps, 'seconds':took, 'texts seen':n, 'ROC-AUC':float(roc_auc_score(y, p)), 'accuracy':float(((p>=0.5)==(y>=0.5)).mean())}

def main():
    parser = parser_of(__doc__)
    parser.add_argument('--rows', type=int, default=10_000, help='reviews, validation among them')
    parser.add_argument('--valid', type=int, default=2000)
    parser.add_argument('--seconds', type=float, default=600, help='of training, for each way and seed')
    parser.add_argument('--seeds', type=int, default=1)
    parser.add_argument('--checkpoint', help='the packaged encoder by default')
    parser.add_argument('--ways', nargs='+', default=list(ways))
    args = parser.parse_args()
    check_choices(parser, 'way', args.ways, ways)
    begin()
    from toxicai.text.tokenizer import packaged_encoder
    args.checkpoint = args.checkpoint or str(packaged_encoder())
    df = data_file('imdb_train_10k').sample(frac=1, random_state=0).drop_duplicates('text')[:args.rows]
    df = pd.DataFrame(dict(text=df.text.str.replace('<br />', ' '), positive=df.label.astype(float), validates=np.arange(len(df))<args.valid))
    rows = []
    for way in args.ways:
        found = [trained(df, args, ways[way], seed) for seed in range(args.seeds)]
        rows.append({'way':way, 'steps':found[0]['steps'], 'texts seen':found[0]['texts seen'], 'seconds':float(np.mean([o['seconds'] for o in found])),
                     **{k:mean_sd([o[k] for o in found]) for k in ('ROC-AUC','accuracy')}})
        note(rows[-1])
    show(rows, f'{len(df)-args.valid} reviews for training, {args.valid} for figures')

if __name__=='__main__': main()
