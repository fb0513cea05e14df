"""What a first stage gains and costs: speed of a detector folder against the AUC of `toxic` and the flags that agree, on Jigsaw
comments that neither stage was fitted to (`representative_sample` rows), at several bounds and at forced shares of answers.

    python -m benchmarks.first FOLDER [--train 30000] [--rows 5000] [--threads 2] [--backend auto] [--timed 500] [--cache FILE.npz]

The first stage is fitted to the answers of the folder's own network on `--train` other comments, in a copy of the folder.
Logits of the network, which take most of the time, are kept in `--cache` for the next call.
"""
import shutil,tempfile,time
from pathlib import Path

import numpy as np

from benchmarks.common import *
from toxicai.serve.detector import Detector
from toxicai.serve.first import *
from toxicai.judge.measures import masked_score
from toxicai.text.encoding import apply_rules

JIGSAW = 159_571 # comments of the training file of Jigsaw's first challenge
BOUNDS,SHARES = (.0005,.001,.002,.005,.01,.02),(.5,.7,.8,.85,.9,.95)
SETS = ('wiki_context_toxicity','jigsaw_en_10k_sample','jigsaw_train_part2','davidson','cad_reddit','goemotions_benign',
        'gab_hate_corpus','implicit_hate','convabuse','stormfront','sbic_dev','toxigen_annotated')

def letters(texts:pd.Series): return texts.str.lower().str.replace(r'[^\w]', '', regex=True)

def judged_rows(n:int) -> pd.DataFrame: # Columns `comment_text`, `toxic`
    "Jigsaw comments as they come"
    df = data_file('jigsaw_train_part')
    df = df[df.representative_sample.astype(bool) & df.toxic.notna()]
    return df.sample(min(n, len(df)), random_state=0).reset_index(drop=True)

def other_texts(n:int) -> list:
    "English comments of other sets and the rest of Jigsaw, without a text that is judged"
    jigsaw = data_file('jigsaw_train_part')
    held = set(letters(jigsaw.comment_text[jigsaw.representative_sample.astype(bool)]))
    parts = [jigsaw.comment_text, *[data_file(o).text for o in SETS]]
    texts = pd.concat([o.dropna().astype(str) for o in parts], ignore_index=True)
    key = letters(texts)
    texts = texts[~key.isin(held) & ~key.duplicated()]
    return texts.sample(min(n, len(texts)), random_state=0).tolist()

def network_logits(folder, backend, threads, texts, cache):
    "Logits of the network for `texts`, from `cache` where they are there"
    if cache and Path(cache).exists() and len(found := np.load(cache)['logits'])==len(texts): return found
    res = Detector(folder, backend, threads)(texts, 'all').logits
    if cache: np.savez(cache, logits=res)
    return res

def timed(f, *args): # Seconds, and what `f` gives
    start = time.perf_counter()
    res = f(*args)
    return time.perf_counter()-start,res

def figures(labels, targs, theirs, logits, alone):
    "AUC and agreement when the network's logits are replaced where the first stage answers"
    mixed = np.where(alone[:,None], logits, theirs)
    j,n = labels.index('toxic'),len(theirs)
    p,q = (labels.probs(o) for o in (theirs,mixed))
    auc = [masked_score('roc_auc', targs[:,None], o[:,j:j+1]) for o in (p,q)]
    differ = labels.flags(p)!=labels.flags(q)
    return {'answered, %':100*alone.mean(), 'AUC':auc[1], 'AUC, difference':auc[1]-auc[0],
            'flags agreeing, %':100-100*differ.mean(), 'texts agreeing, %':100-100*differ.any(1).mean()}

def curve(stage, labels, targs, theirs, logits, known, seconds_first, seconds_each, measured):
    "Rows of the table: bounds, then forced shares; seconds from what each stage takes for a text, except where `measured`"
    near,rows = nearness(labels, logits),[]
    cuts = [(f'bound {o:g}', stage.cut_for(labels, o)) for o in BOUNDS]
    cuts += [(f'share {o:g}', np.quantile(np.where(known, near, np.inf), o, method='lower')) for o in SHARES]
    for name,cut in [('off', None), *cuts]:
        alone = np.zeros(len(near), dtype=bool) if cut is None else known & (near<=cut)
        each = (0 if cut is None else seconds_first)+(1-alone.mean())*seconds_each
        secs = measured.get(name, each)
        how = 'measured' if name in measured else 'computed'
        rows.append({'':name, **figures(labels, targs, theirs, logits, alone), 'texts/s':1/secs, 'how':how,
                     f'seconds for {JIGSAW:,}':JIGSAW*secs})
    return rows

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('folder')
    p.add_argument('--train', type=int, default=30_000)
    p.add_argument('--rows', type=int, default=5000)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--backend', default='auto')
    p.add_argument('--bits', type=int, default=18)
    p.add_argument('--epochs', type=int, default=8)
    p.add_argument('--timed', type=int, default=500, help='comments whose time is taken')
    p.add_argument('--cache')
    args = p.parse_args()
    begin()
    df,others = judged_rows(args.rows),other_texts(args.train)
    texts = df.comment_text.tolist()
    with tempfile.TemporaryDirectory() as d:
        folder = Path(shutil.copytree(args.folder, Path(d)/'folder'))
        det = Detector(folder, args.backend, args.threads)
        logits = network_logits(folder, args.backend, args.threads, [*texts, *others], args.cache)
        theirs,learnt = logits[:len(texts)],logits[len(texts):]
        rules = det.enc.rules
        secs,stage = timed(lambda: fit_first(apply_rules(rules, others), learnt, bits=args.bits, n_epoch=args.epochs))
        write_first(det.folder, stage)
        print(f'{len(others):,} texts learnt from in {secs:.0f} s; {len(stage.to_bytes())/1e6:.1f} MB; {stage}')
        some = texts[:args.timed]
        each,_ = timed(Detector(folder, args.backend, args.threads).scores, some)
        on,plain = timed(apply_rules, rules, texts)
        once,(own,known) = timed(stage, plain, 1)
        print(f'one thread: rules {len(texts)/on:,.0f} texts/s, first stage {len(texts)/once:,.0f}, '
              f'both {len(texts)/(on+once):,.0f}')
        two = Detector(folder, args.backend, args.threads, first=.001)
        measured = {'off':each/len(some), 'bound 0.001':timed(two.scores, some)[0]/len(some)}
        labels,targs = det.labels,df.toxic.to_numpy(dtype=float)
        rows = curve(stage, labels, targs, theirs, own, known, on/len(texts)+once/len(texts)/args.threads,
                     each/len(some), measured)
        auc = masked_score('roc_auc', targs[:,None], labels.probs(own)[:,[labels.index('toxic')]])
        show(rows, f"{len(texts):,} comments, {int(targs.sum()):,} toxic; network {det.backend!r} on {args.threads} threads; "
                   f"AUC of the first stage alone {auc:.4f}")
