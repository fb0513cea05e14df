"""What a first stage gains and costs: speed of a detector against the AUC of `toxic` and the flags that agree, on
Jigsaw comments as they come that neither stage was fitted to (development rows of the recipe), at several bounds and
at forced shares of answers.

    python -m benchmarks.first [NAME] [--frame FRAME] [--threads 2] [--backend auto] [--timed 500] [--kept FILE.npz]
    python -m benchmarks.first [NAME] [--frame FRAME] [--kept FILE.npz] --whole  # times all 159,571 comments

The first stage learns the answers of the detector's own network on training rows that are like traffic, in a copy of
the folder. Logits of the network, which take most of the time, are kept in `--kept` for the next call. `--cpu` counts
seconds of the processor instead of those on the wall: for one thread on a machine that has other work to do. """
import shutil,tempfile,time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common import *
from recipes.detectors.corpora import english
from recipes.detectors.first import first_stage
from recipes.detectors.frame import whole_frame,without_copies
from toxicai.serve.detector import Detector
from toxicai.serve.first import *
from toxicai.serve.packaged import detector_path
from toxicai.judge.measures import masked_score
from toxicai.text.encoding import apply_rules

JIGSAW = 159_571 # comments of the training file of Jigsaw's first challenge
BOUNDS,SHARES = (.0005,.001,.0015,.002,.005,.01),(.3,.4,.5,.55,.6,.65,.7,.75,.8,.85)

def timed(clock, f, *args): # Seconds, and what `f` gives
    start = clock()
    res = f(*args)
    return clock()-start,res

def figures(labels, targs, theirs, logits, alone):
    "AUC and agreement when the network's logits are replaced where the first stage answers"
    j,mixed = labels.index('toxic'),np.where(alone[:,None], logits, theirs)
    p,q = (labels.probs(o) for o in (theirs,mixed))
    auc = [masked_score('roc_auc', targs[:,None], o[:,j:j+1]) for o in (p,q)]
    differ = labels.flags(p)!=labels.flags(q)
    return {'answered, %':100*alone.mean(), 'AUC':auc[1], 'AUC, difference':auc[1]-auc[0],
            'flags agreeing, %':100-100*differ.mean(), 'texts agreeing, %':100-100*differ.any(1).mean()}

def crossed(stage, labels, bound, n_parts=10):
    "Which of the held-out texts are answered at `bound`, each tenth by the cut that the others gave"
    near,part = nearness(labels, stage.own),np.arange(len(stage.own))%n_parts
    res = stage.readable.copy()
    for o in range(n_parts):
        rest = part!=o
        others = replace(stage, own=stage.own[rest], theirs=stage.theirs[rest], readable=stage.readable[rest])
        res[~rest] &= near[~rest]<=others.cut_for(labels, bound)
    return res

def curve(stage, labels, targs, seconds_first, seconds_each):
    "Rows of the table: bounds (cross-fitted), then forced shares; seconds from what each stage takes for a text"
    near,rows = np.where(stage.readable, nearness(labels, stage.own), np.inf),[]
    alone = {'off':np.zeros(len(near), dtype=bool), **{f'bound {o:g}':crossed(stage, labels, o) for o in BOUNDS}}
    alone.update({f'share {o:g}':near<=np.quantile(near, o, method='lower') for o in SHARES})
    for name,some in alone.items():
        each = (0 if name=='off' else seconds_first)+(1-some.mean())*seconds_each
        rows.append({'':name, **figures(labels, targs, stage.theirs, stage.own, some), 'texts/s':1/each,
                     f'seconds for {JIGSAW:,}':JIGSAW*each})
    return rows

def speeds(det, stage, texts, args):
    "Seconds of a text in rules and first stage, and in rules, tokenizer and network; what one thread does"
    clock,some = time.process_time if args.cpu else time.perf_counter,texts[:args.timed]
    det.scores(some[:8])
    each,_ = timed(clock, det.scores, some)
    on,plain = timed(clock, apply_rules, det.enc.rules, texts)
    once,_ = timed(clock, stage, plain, 1)
    how = 'seconds of the processor' if args.cpu else 'on the wall'
    print(f'rules {len(texts)/on:,.0f} texts/s, first stage {len(texts)/once:,.0f} on one thread; '
          f'network, with rules and tokenizer, {len(some)/each:,.1f} on {args.threads}; {how}')
    return on/len(texts)+once/len(texts)/args.threads,each/len(some)

def whole(det, texts, n):
    "Seconds for `n` comments, repeated where there are fewer, none of them remembered"
    start,left = time.perf_counter(),n
    while left>0:
        det.scores(texts[:left])
        left -= len(texts)
    secs = time.perf_counter()-start
    print(f'{n:,} comments in {secs:.0f} s, {n/secs:,.0f} texts/s')

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('folder', nargs='?', default='english')
    p.add_argument('--frame', help='a Parquet file that `python -m recipes.detectors frame english` wrote; '
                                   'made anew without it')
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--backend', default='auto')
    p.add_argument('--bits', type=int, default=20)
    p.add_argument('--shrink', type=float, default=.016)
    p.add_argument('--timed', type=int, default=500, help='comments whose time is taken')
    p.add_argument('--bound', type=float, default=usual_bound, help='of the first stage, for --whole')
    p.add_argument('--whole', action='store_true')
    p.add_argument('--cpu', action='store_true')
    p.add_argument('--kept')
    args = p.parse_args()
    begin()
    df = pd.read_parquet(args.frame) if args.frame else without_copies(whole_frame(english))
    det = Detector(args.folder, args.backend, args.threads)
    start = time.perf_counter()
    stage,targs = first_stage(df, det, args.kept, bits=args.bits, shrink=args.shrink)
    secs,size = time.perf_counter()-start,len(stage.to_bytes())/1e6
    print(f'{stage}, {size:.1f} MB, fitted in {secs:.0f} s, answers of the network included')
    texts = df.text[df.dev & (df.source=='jigsaw_train_part')].tolist()
    own = det.labels.probs(stage.own)[:,[det.labels.index('toxic')]]
    show(curve(stage, det.labels, targs, *speeds(det, stage, texts, args)),
         f"{len(texts):,} comments, {int(targs.sum()):,} toxic; {det.backend!r}; AUC of the first stage alone "
         f"{masked_score('roc_auc', targs[:,None], own):.4f}")
    if args.whole:
        with tempfile.TemporaryDirectory() as d:
            folder = Path(shutil.copytree(detector_path(args.folder), Path(d)/'folder'))
            write_first(Detector(folder).folder, stage)
            for o in ('off',args.bound): whole(Detector(folder, args.backend, args.threads, first=o), texts, JIGSAW)
