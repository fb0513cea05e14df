"""Long texts in training: windows whose logits become one, against cutting, each for the same time on the same card or cores. Reviews
of films, half of them favourable; the learning rates, those of `fine_tune`, rise and fall with the time, and figures are of reviews that
were not seen, read as in training. Each way and seed is one line of the record; the table has their means.

    python -m benchmarks.windows [--rows 10000] [--valid 2000] [--seconds 600] [--seeds 1] [--checkpoint FOLDER] [--ways windows-256 ...]
"""
import time

from benchmarks.common import *

ways = {'cut-256':dict(max_length=256), 'cut-512':dict(max_length=512), 'head-tail-256':dict(max_length=256, cut='head_tail'),
        'head-tail-512':dict(max_length=512, cut='head_tail'), 'windows-256':dict(max_length=256, long='windows'),
        'mean-256':dict(max_length=256, long='mean_windows'), 'windows-128':dict(max_length=128, long='windows'),
        'mean-128':dict(max_length=128, long='mean_windows')}

def loaders(df, args, how, seed):
    from toxicai.all import ToxicityDataLoaders
    return ToxicityDataLoaders.from_df(df, args.checkpoint, label_cols='positive', valid_col='validates', bs=16, val_bs=64, seed=seed,
                                      **how)

def for_seconds(learn, seconds):
    "Train for `seconds`, not counting the first step, in the schedule of `fit_one_cycle`; number of steps and seconds"
    from fastai.basics import CancelFitException,CancelValidException,Callback
    from fastai.callback.schedule import combined_cos
    share = combined_cos(0.25, 1/25, 1., 1e-5)
    now = time.perf_counter if torch.cuda.is_available() else time.process_time # on cores, what else runs does not count
    class ByTime(Callback):
        n,begun,took = 0,None,0.
        def before_fit(self):
            self.opt.set_hyper('lr', slice(self.learn.lr/4, self.learn.lr))
            self.top = np.array([o['lr'] for o in self.opt.hypers])
        def before_batch(self): self.opt.set_hyper('lr', list(self.top*share(min(1., self.took/seconds))))
        def after_batch(self):
            if torch.cuda.is_available(): torch.cuda.synchronize()
            if self.begun is None: self.begun = now()
            self.n,self.took = self.n+1,now()-self.begun
            if self.took>=seconds: raise CancelFitException()
        def before_validate(self): raise CancelValidException()
    clock = ByTime()
    with learn.no_bar(), learn.no_logging(): learn.fit(10**6, cbs=clock)
    return clock.n,clock.took

def trained(df, args, how, seed):
    "Figures after `args.seconds` of training"
    from toxicai.all import toxicity_learner
    from sklearn.metrics import roc_auc_score
    dls = loaders(df, args, how, seed)
    learn = toxicity_learner(dls, metrics=[], seed=seed)
    steps,took = for_seconds(learn, args.seconds)
    with learn.no_bar(): probs,targs = learn.get_preds()
    y,p = targs[:,0].numpy()>=0.5,probs[:,0].numpy()
    return {'steps':steps, 'seconds':took, 'texts seen':16*steps, 'ROC-AUC':float(roc_auc_score(y, p)), 'accuracy':float(((p>=0.5)==y).mean())}

def summary(found):
    "One row of the table, from the figures of each seed"
    counts = {k:float(np.mean([o[k] for o in found])) for k in ('steps','texts seen','seconds')}
    return counts|{k:mean_sd([o[k] for o in found]) for k in ('ROC-AUC','accuracy')}

def reviews(args): # Rows with `text`, `positive` and `validates`
    "Film reviews in random order, the first of them for validation"
    df = data_file('imdb_train_10k').sample(frac=1, random_state=0).drop_duplicates('text')[:args.rows]
    return pd.DataFrame(dict(text=df.text.str.replace('<br />', ' '), positive=df.label.astype(float),
                             validates=np.arange(len(df))<args.valid))

def main():
    parser = parser_of(__doc__)
    parser.add_argument('--rows', type=int, default=10_000, help='reviews, validation among them')
    parser.add_argument('--valid', type=int, default=2000)
    parser.add_argument('--seconds', type=float, default=600, help='of training, for each way and seed; of the processor where there is no GPU')
    parser.add_argument('--seeds', type=int, default=1)
    parser.add_argument('--checkpoint', help='the packaged encoder by default')
    parser.add_argument('--ways', nargs='+', default=list(ways))
    args = parser.parse_args()
    check_choices(parser, 'way', args.ways, ways)
    if not 0<args.valid<args.rows: parser.error('--valid is a number of the --rows: expected more than 0 and less than all')
    begin()
    from toxicai.text.tokenizer import packaged_encoder
    args.checkpoint = args.checkpoint or str(packaged_encoder())
    df = reviews(args)
    n,rows = len(df)-args.valid,[]
    for way in args.ways:
        found = []
        for seed in range(args.seeds):
            found.append(trained(df, args, ways[way], seed))
            note({'way':way, 'rows':n, 'seed':seed, **found[-1]})
        rows.append({'way':way, **summary(found)})
    show(rows, f'{n} reviews for training, {args.valid} for figures, {args.seeds} seeds, {args.seconds:g} seconds each')

if __name__=='__main__': main()
