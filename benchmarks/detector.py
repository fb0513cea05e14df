"""Candidates for a detector that ships, side by side: size on disk, texts per second, time for one text (median and
99th percentile), ROC-AUC of each label, calibration error, on comments of Jigsaw's `representative_sample`.

    python -m benchmarks.detector [NAME ...] [--rows 2000] [--alone 200] [--threads 2] [--frame FRAME] [--cpu]

A candidate is a packaged detector (`english`), the packaged weights in 16 bits (`weights`) or a folder, alone or as
`NAME@BACKEND`, such as `models/en@onnx-int8`; `+0.001` behind it turns its first stage on. With `--frame`, which
`python -m recipes.detectors frame english` wrote, the rows are those that the detectors in the wheels were not
trained on. A label with fewer than 100 positives among the rows has no figure that decides anything: their number
stands beside it. """
import re,time
from pathlib import Path

import numpy as np

from benchmarks.common import *
from toxicai.labels import paired_names
from toxicai.serve.backends import backends
from toxicai.serve.detector import Detector
from toxicai.serve.folder import read_folder
from toxicai.serve.packaged import detector_path,weights_path
from toxicai.judge.measures import masked_scores

def judged_rows(n:int, frame=None) -> pd.DataFrame: # `comment_text` and `jigsaw_labels`, NaN where nobody annotated
    "Jigsaw comments as they come; held-out ones where `frame` says which are"
    df = data_file('jigsaw_train_part')
    df = df[df.representative_sample.astype(bool)]
    if frame:
        held = pd.read_parquet(frame, columns=['text','source','dev'])
        df = df[df.comment_text.isin(set(held.text[held.dev & (held.source=='jigsaw_train_part')]))]
    return df.sample(min(n, len(df)), random_state=0).reset_index(drop=True)

def folder_of(name:str) -> Path:
    "A folder, or one that ships"
    return weights_path() if name=='weights' else detector_path(name)

def candidate(spec:str, backend:str, first) -> dict: # `folder`, `backend`, `first`
    "What a name on the command line means"
    m = re.fullmatch(r'([^@+]+)(?:@([\w-]+))?(?:\+([\d.]+|auto))?', spec)
    if m is None: raise SystemExit(f"{spec!r}: expected NAME, NAME@BACKEND or NAME@BACKEND+BOUND")
    bound = first if m[3] is None else m[3] if m[3]=='auto' else float(m[3])
    return dict(folder=folder_of(m[1]), backend=m[2] or backend, first=bound)

def size_of(folder, backend) -> float: # Megabytes
    "What `backend` needs of `folder`: its network, the tokenizer and the rest that is small"
    found,others = read_folder(folder),{o.file_of(read_folder(folder)) for o in backends.values()}
    unused = others-{backends[backend].file_of(found)}
    return sum(o.stat().st_size for o in Path(folder).iterdir() if o.is_file() and o.name not in unused)/1e6

def latencies(det, texts, clock) -> np.ndarray: # Milliseconds; shape (n,)
    "Time of each text, judged alone"
    res = []
    for o in texts:
        start = clock()
        det.scores(o)
        res.append(1000*(clock()-start))
    return np.array(res)

def label_figures(labels, probs, df) -> dict:
    "AUC and ECE of each label that both know, with the number of its positives"
    names = paired_names(labels.names, jigsaw_labels)
    at = [labels.index(o) for o in names]
    targs = df[list(names.values())].to_numpy(dtype=float)
    auc,ece = (masked_scores(o, targs, probs[:,at]) for o in ('roc_auc','ece'))
    res = {f'AUC {o} ({int(np.nansum(t))})':float(v) for o,v,t in zip(names, auc, targs.T)}
    return {**res, 'mean AUC':float(np.nanmean(auc)), 'mean ECE':float(np.nanmean(ece))}

def table_row(spec, args, df) -> dict:
    "Size, speed and quality of one candidate"
    c = candidate(spec, args.backend, args.first)
    det = Detector(c['folder'], c['backend'], args.threads, first=c['first'])
    texts,clock = df.comment_text.tolist(),time.process_time if args.cpu else time.perf_counter
    det.scores(texts[:8])
    start = clock()
    probs = det.scores(texts)
    secs,ms = clock()-start,latencies(det, texts[:args.alone], clock)
    row = {'':spec, 'backend':det.backend, 'MB':size_of(c['folder'], det.backend), 'texts/s':len(texts)/secs,
           'p50, ms':float(np.median(ms)), 'p99, ms':float(np.quantile(ms, .99)),
           **label_figures(det.labels, probs, df)}
    note(row)
    return row

def size_and_speed(args):
    "The size and speed table"
    df = judged_rows(args.rows, args.frame)
    rows = [table_row(o, args, df) for o in args.folders]
    keys = list(dict.fromkeys(k for r in rows for k in r))
    show([{k:r.get(k, '') for k in keys} for r in rows],
         f'{len(df):,} comments, {args.threads} threads, {"seconds of the processor" if args.cpu else "on the wall"}')

parts = {'size':size_and_speed} # Name of a part -> function that prints its tables

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('folders', nargs='*', default=['english','weights@torch'])
    p.add_argument('--rows', type=int, default=2000)
    p.add_argument('--alone', type=int, default=200, help='texts that are judged one by one')
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--backend', default='auto')
    p.add_argument('--first', default='off')
    p.add_argument('--frame', help='rows of its development part alone')
    p.add_argument('--cpu', action='store_true', help='seconds of the processor: for one thread on a busy machine')
    p.add_argument('--only', nargs='+', choices=list(parts), default=list(parts))
    args = p.parse_args()
    begin()
    for o in args.only: parts[o](args)
