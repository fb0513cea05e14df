"""What other ways through a fit gain and cost, beside the defaults of `fine_tune`: the packaged encoder on 6,000
tweets of davidson, two epochs after one with the head alone, several seeds. A part for testing is used for the last
figures only; a part for validation is what soups choose on. Each run is a process of its own, and its result a line
of a file, so that a second call does what the first did not come to. Real data, found through TOXICAI_DATA.

    python -m benchmarks.fits [--variants default ema soup] [--seeds 0 1 2] [--rows 6000] [--file fits.jsonl]
"""
import json,resource,subprocess,sys,time,warnings
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.metrics import accuracy_score,f1_score,log_loss
from sklearn.model_selection import train_test_split

from benchmarks.common import *
from toxicai.all import *

# Each differs in one thing from the default: arguments of the learner, arguments of `fine_tune`, callbacks
layers = dict(splitter=layerwise_splitter)
lora_rate = 5 # LoRA wants a higher rate than full fine-tuning does: this many times the default
variants = dict(
    default=({}, {}, lambda: []),
    layer_decay=(layers, dict(decay=0.85), lambda: []),
    ema=({}, {}, lambda: [EMA()]),
    soup=({}, {}, lambda: [Soup(k=8, per_epoch=4)]),
    unfreezing=(layers, {}, lambda: [GradualUnfreezing(until=0.5)]),
    lora=(dict(lora=8), dict(rate=lora_rate), lambda: []),
    linear=({}, dict(schedule='linear'), lambda: []),
    no_frozen_epoch=({}, dict(freeze_epochs=0), lambda: []))

def parts(n):
    "`n` tweets: 70 % to train on, 10 % to validate on (column `is_valid`), and 20 % for the test"
    df = data_file('davidson')[['text','label_name']]
    df = df if n>=len(df) else train_test_split(df, train_size=n, stratify=df.label_name, random_state=42)[0]
    rest,test = train_test_split(df, test_size=0.2, stratify=df.label_name, random_state=42)
    _,valid = train_test_split(rest.index, test_size=0.125, stratify=rest.label_name, random_state=42)
    return rest.assign(is_valid=rest.index.isin(valid)).reset_index(drop=True),test.reset_index(drop=True)

def peak_mib(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/(2**20 if sys.platform=='darwin' else 2**10)

def figures(targs, probs):
    pred,n_classes = probs.argmax(1),probs.shape[1]
    return dict(macro_f1=f1_score(targs, pred, average='macro'), accuracy=accuracy_score(targs, pred),
                log_loss=log_loss(targs, probs, labels=range(n_classes)))

def one(variant, seed, rows, epochs):
    "One run: figures on the test part, seconds of the fit, memory"
    (args,fit,cbs),(df,test) = variants[variant],parts(rows)
    cols = dict(text_col='text', label_cols='label_name', valid_col='is_valid')
    dls = ToxicityDataLoaders.from_df(df, packaged_encoder(), max_length=64, **cols)
    learn = toxicity_learner(dls, seed=seed, **args)
    before,start = peak_mib(),time.perf_counter()
    fit = dict(fit, base_lr=fit.get('rate', 1)*learn.lr)
    fit.pop('rate', None)
    with learn.no_bar(),learn.no_logging():
        learn.fine_tune(epochs, cbs=cbs(), **fit)
        res = dict(seconds=time.perf_counter()-start, peak_mib=peak_mib(), fit_mib=peak_mib()-before)
        probs = learn.get_preds(dl=dls.test_dl(test))[0].numpy()
    res['trained'] = sum(p.numel() for p in learn.model.parameters() if p.requires_grad)
    return dict(**figures(test.label_name.map(list(dls.vocab).index), probs), **res)

# Many runs

def done(path, key):
    "Results in the file at `path`, by variant and seed, of runs with the other settings in `key`"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(o) for o in lines if o.endswith('}')]
    return {(r['variant'],r['seed']):r for r in rows if {k:r[k] for k in key}==key}

def run(path, variant, seed, key):
    "One run in a process of its own; its result goes to the end of the file"
    size = ['--rows', str(key['rows']), '--epochs', str(key['epochs'])]
    cmd = [sys.executable, '-m', 'benchmarks.fits', '--one', variant, str(seed), *size]
    out = subprocess.run(cmd, stdout=subprocess.PIPE, text=True, check=True).stdout
    row = dict(variant=variant, seed=seed, **key, machine=machine(), **json.loads(out.splitlines()[-1]))
    with open(path, 'a') as f: f.write(json.dumps(row)+'\n')
    note({k:v for k,v in row.items() if k!='machine'})

def interval(diffs):
    "Mean with Student's 95 % interval, which says whether zero is among what the seeds allow"
    mean = np.mean(diffs)
    if len(diffs)<2: return f'{mean:+.4f}'
    half = stats.t.ppf(0.975, len(diffs)-1)*np.std(diffs, ddof=1)/len(diffs)**0.5
    return f'{mean:+.4f} ({mean-half:+.4f} to {mean+half:+.4f})'

def row(res, variant):
    "Figures of `variant`, and their differences to the default, seed by seed"
    seeds = [s for v,s in res if v==variant and ('default',s) in res]
    cols = ['macro_f1','accuracy','log_loss','trained','seconds','fit_mib','peak_mib']
    ours,base = [pd.DataFrame([res[o,s] for s in seeds])[cols] for o in (variant,'default')]
    diffs = ours-base
    better = f'{(diffs.macro_f1>0).sum()} of {len(seeds)}'
    return {'variant':variant, 'seeds':len(seeds), 'macro_f1':mean_sd(ours.macro_f1),
            **{f'{k}: difference':interval(diffs[k]) for k in ('macro_f1','log_loss')},
            'better_seeds':better, 'accuracy':mean_sd(ours.accuracy), 'trained':ours.trained[0],
            'seconds':round(ours.seconds.mean()), 'seconds, ratio':pairwise(ours.seconds, base.seconds),
            'memory of the fit, ratio':pairwise(ours.fit_mib, base.fit_mib.clip(lower=1)),
            'peak, MiB more':round(diffs.peak_mib.mean())}

def main(names, seeds, rows, epochs, path):
    key = dict(rows=rows, epochs=epochs)
    for seed in seeds:
        for name in names:
            if (name,seed) not in done(path, key): run(path, name, seed, key)
    res = {k:v for k,v in done(path, key).items() if k[0] in names and k[1] in seeds}
    df,test = parts(rows)
    show([row(res, o) for o in names],
         f'{(~df.is_valid).sum():,} tweets for training, {df.is_valid.sum():,} for validation, '
         f'{len(test):,} for the test; '
         f'{epochs} epochs after one with the head alone; '
         'differences to the default of the same seed, with 95 % intervals')

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('--variants', nargs='+', default=list(variants), help=', '.join(variants))
    p.add_argument('--seeds', nargs='+', type=int, default=[0,1,2])
    p.add_argument('--rows', type=int, default=6000)
    p.add_argument('--epochs', type=int, default=2)
    p.add_argument('--file', type=Path, default=Path('fits.jsonl'))
    p.add_argument('--one', nargs=2, metavar=('VARIANT','SEED'), help='one run, whose result is printed')
    args = p.parse_args()
    quiet()
    warnings.simplefilter('ignore')
    if args.one: sys.exit(print(json.dumps(one(args.one[0], int(args.one[1]), args.rows, args.epochs))))
    check_choices(p, 'variant', args.variants, variants)
    print(machine())
    main(list(dict.fromkeys(['default', *args.variants])), args.seeds, args.rows, args.epochs, args.file)
