"""Speed of scoring: the transformers pipeline one by one and in batches, `Detector` with each backend that is
installed, and the learner's `get_preds`, interleaved, on the same comments with a long-tailed mix of lengths. Then
latency of one comment, start to first answer and peak memory in fresh processes, two processes at once, and what int8
and bf16 change: scores, flags, AUC. Where there is a GPU, also as many comments as Jigsaw has through a network of
the size of BERT base, from strings to probabilities.

    python -m benchmarks.inference [--rows 5000] [--rounds 3] [--threads 2] [--train 6000]
                                   [--only throughput latency start together drift large]

The classifier is the packaged encoder, fine-tuned for a moment on `--train` tweets (0: a random head, for speed alone).
"""
import argparse,itertools,json,subprocess,sys,tempfile,time,warnings
from pathlib import Path

import numpy as np,torch
from fastai.torch_core import set_seed
from sklearn.metrics import roc_auc_score
from transformers import AutoTokenizer,BertConfig,BertModel,pipeline

from benchmarks.common import *
from toxicai.all import *
from toxicai.serve.backends import n_threads,reference_backend

PARTS = ('throughput','latency','start','together','drift','large')
JIGSAW = 159571 # comments in the whole training file of Jigsaw's first challenge

# Data and classifier

def comments_of(
    n:int, # Comments
) -> list: # Jigsaw comments: mean 94 tokens, median 60, a long tail
    "Comments as people write them"
    return data_file('jigsaw_train_part').comment_text.dropna().sample(n, random_state=0).tolist()

def tweets() -> pd.DataFrame: # Columns `text`, `label`
    "Tweets with one of three classes"
    df = data_file('davidson')[['text','label_name']].rename(columns={'label_name':'label'})
    return df.sample(frac=1, random_state=0).reset_index(drop=True)

def classifier(
    n:int, # Tweets to train on
) -> TransformerLearner:
    "The packaged encoder with three classes"
    df = tweets()[:max(n, 64)+1000]
    def _last_thousand(o): return range(len(o)-1000),range(len(o)-1000, len(o))
    args = dict(text_col='text', label_cols='label', max_length=512, bs=32, splitter=_last_thousand)
    dls = ToxicityDataLoaders.from_df(df, packaged_encoder(), **args)
    learn = toxicity_learner(dls)
    with learn.no_bar(),learn.no_logging():
        if n: learn.fine_tune(1, freeze_epochs=0)
    return learn

# The contestants: functions that score all texts once and return seconds

def timed(f, texts):
    def _run():
        start = time.perf_counter()
        f(texts)
        return time.perf_counter()-start
    return _run

def _pipe(folder):
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return pipeline('text-classification', str(folder), top_k=None, truncation=True, device=device)

def _preds(learn):
    def _run(texts):
        with learn.no_bar(): learn.get_preds(dl=learn.dls.test_dl(texts))
    return _run

def variants(folder):
    "Name -> arguments of a `Detector`: each backend that runs here, those in lower precision also rechecked in fp32"
    found,res = read_folder(folder),{}
    for o in backends:
        if why_not(found, o): continue
        res[o] = dict(backend=o, recheck=False)
        if backends[o].exact: res[f'{o}, rechecked'] = dict(backend=o, recheck=True)
    return res

def contestants(folder, learn, threads):
    "Name -> function of a list of texts"
    one,many = _pipe(folder),_pipe(folder)
    def _one_by_one(texts): return [one(o) for o in texts]
    def _batches(texts): return many(texts, batch_size=32)
    res = {'pipeline, one by one':_one_by_one, 'pipeline, batch 32':_batches, 'learner, get_preds':_preds(learn)}
    for k,args in variants(folder).items(): res[f'Detector, {k}'] = Detector(folder, threads=threads, **args).scores
    return res

def throughput(folder, learn, texts, rounds, threads):
    "Table of texts per second"
    secs = interleaved({k:timed(f, texts) for k,f in contestants(folder, learn, threads).items()}, rounds)
    base = secs['pipeline, one by one']
    show([{'':k, 'texts/s':len(texts)/median(v), 'speed, one by one = 1':pairwise(base, v)} for k,v in secs.items()],
         f'{len(texts):,} Jigsaw comments, {rounds} rounds, {threads} threads')

def latency(folder, learn, texts, threads, block=10):
    "Table of the time of one comment; each contestant in turn answers a block of them one by one, as a service does"
    runs,took = contestants(folder, learn, threads),{}
    runs.pop('pipeline, batch 32')
    for i in range(0, len(texts), block):
        for k,f in runs.items():
            f([texts[i]])
            took.setdefault(k, []).extend(timed(f, [t])() for t in texts[i:i+block])
    show([{'':k, 'p50 ms':1000*np.percentile(v, 50), 'p99 ms':1000*np.percentile(v, 99)} for k,v in took.items()],
         f'One comment at a time, {len(texts)} comments')

# Start: each in a process of its own

_starts = {
    'pipeline': "from transformers import pipeline; pipeline('text-classification', FOLDER)('you are an idiot')",
    'load_learner': "from fastai.learner import load_learner; load_learner(PICKLE).predict('you are an idiot')",
    **{f'Detector, {o}': f"from toxicai import Detector; Detector(FOLDER, {o!r}, THREADS)('you are an idiot')"
       for o in backends}}

def _filled(code, facts):
    "`code` with values in the place of names"
    for k,v in facts.items(): code = code.replace(k, repr(v))
    return code

def _start(code):
    "Seconds from the start of the process to its end, and its peak memory in MiB"
    start = time.perf_counter()
    peak = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    run = [sys.executable, '-W', 'ignore', '-c', f'{code}\n{peak}']
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    return time.perf_counter()-start,int(out.split()[-1])/1024

def start(folder, pickle, rounds, threads):
    "Table of the time from nothing to the first answer"
    found,res = read_folder(folder),{}
    cannot = [f'Detector, {o}' for o in backends if why_not(found, o)]
    facts = dict(FOLDER=str(folder), PICKLE=str(pickle), THREADS=threads)
    codes = {k:_filled(v, facts) for k,v in _starts.items() if k not in cannot}
    for _,(k,v) in itertools.product(range(rounds), codes.items()): res.setdefault(k, []).append(_start(v))
    show([{'':k, 'seconds':median(s for s,_ in v), 'peak MiB':median(m for _,m in v)} for k,v in res.items()],
         f'Process start to first answer, {rounds} rounds')

# Two processes at once

_scoring = """
import json,sys,time
from toxicai import Detector
d,texts = Detector(FOLDER, BACKEND, THREADS),json.load(open(TEXTS))
d.scores(texts)
print('ready', flush=True)
sys.stdin.readline()
start = time.perf_counter()
d.scores(texts)
print(time.perf_counter()-start)"""

def _at_once(k, folder, backend, texts, threads):
    "Texts per second of `k` processes that begin at the same time, all together; each has scored the texts once before"
    with tempfile.NamedTemporaryFile('w', suffix='.json') as f:
        json.dump(texts, f)
        f.flush()
        code = _filled(_scoring, dict(FOLDER=str(folder), BACKEND=backend, THREADS=threads, TEXTS=f.name))
        cmd,pipes = [sys.executable, '-W', 'ignore', '-c', code],dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        runs = [subprocess.Popen(cmd, text=True, **pipes) for _ in range(k)]
        for o in runs: o.stdout.readline()
        for o in runs: print(file=o.stdin, flush=True)
        return sum(len(texts)/float(o.communicate()[0]) for o in runs)

def together(folder, texts, threads):
    "Table of what two processes do on the cores of one"
    found,rows = read_folder(folder),[]
    for o in backends:
        if why_not(found, o): continue
        one,two = (_at_once(k, folder, o, texts, threads) for k in (1,2))
        rows.append({'':f'Detector, {o}', 'one process, texts/s':one, 'two, texts/s together':two, 'ratio':two/one})
    show(rows, f'One process and two at once, {threads} threads each, on the same cores')

# A large network

def large(n, threads, compiled):
    "Table of the time from strings to probabilities through a network of the size of BERT base, with random weights"
    texts = list(itertools.islice(itertools.cycle(comments_of(min(n, 20000))), n))
    with tempfile.TemporaryDirectory() as d:
        tok = AutoTokenizer.from_pretrained(packaged_encoder())
        BertModel(BertConfig(vocab_size=len(tok))).save_pretrained(Path(d)/'bert')
        tok.save_pretrained(Path(d)/'bert')
        df = pd.DataFrame(dict(text=texts[:64], label=['a','b']*32))
        dls = ToxicityDataLoaders.from_df(df, Path(d)/'bert', text_col='text', label_cols='label', max_length=512, bs=8)
        det = Detector(toxicity_learner(dls).save_detector(Path(d)/'folder'), 'torch-bf16', threads, compiled=compiled)
        det.scores(texts[:64])
        whole,tokenising = (timed(f, texts)() for f in (det.scores, det.enc.encode))
    row = {'comments':n, 'seconds':whole, 'texts/s':n/whole, 'of these tokenising, were it alone, seconds':tokenising,
           'share':tokenising/whole, 'compiled':compiled}
    show([row], 'BERT base in bf16, from strings to probabilities')

# What lower precision changes

def drift(folder, n, threads):
    "Table of differences from fp32 on tweets that were not trained on"
    df,ref = tweets()[-n:],Detector(folder, reference_backend, threads)
    base,names = ref.scores(df.text.tolist()),list(ref.labels)
    def _auc(p):
        shares = p/p.sum(1, keepdims=True)
        return roc_auc_score(df.label, shares, multi_class='ovr', average='macro', labels=names)
    rows = []
    for o,kw in variants(folder).items():
        if o==reference_backend: continue
        p = Detector(folder, threads=threads, **kw).scores(df.text.tolist())
        flips = (ref.labels.flags(base)!=ref.labels.flags(p)).any(1).mean()
        rows.append({'':o, 'largest score difference':float(np.abs(p-base).max()), 'flags flipped, %':100*float(flips),
                     'AUC':_auc(p), 'AUC, difference':_auc(p)-_auc(base)})
    show(rows, f'{n:,} tweets against torch in fp32')

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--rows', type=int, default=5000)
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--threads', type=int, default=n_threads())
    p.add_argument('--train', type=int, default=6000)
    p.add_argument('--only', nargs='+', choices=PARTS, default=PARTS if torch.cuda.is_available() else PARTS[:-1])
    p.add_argument('--compiled', action='store_true', help='for the part `large`, on a GPU')
    args = p.parse_args()
    quiet()
    warnings.simplefilter('ignore')
    set_seed(0)
    torch.set_num_threads(args.threads)
    print(machine())
    if set(args.only)-{'large'}:
        with tempfile.TemporaryDirectory() as d:
            learn = classifier(args.train)
            learn.path = Path(d)
            folder = learn.save_detector(Path(d)/'folder', onnx=True)
            learn.export()
            texts = comments_of(args.rows)
            if 'throughput' in args.only: throughput(folder, learn, texts, args.rounds, args.threads)
            if 'latency' in args.only: latency(folder, learn, texts[:max(20, args.rows//20)], args.threads)
            if 'start' in args.only: start(folder, Path(d)/'export.pkl', args.rounds, args.threads)
            if 'together' in args.only: together(folder, texts[:max(100, args.rows//5)], args.threads)
            if 'drift' in args.only: drift(folder, min(args.rows, 5000), args.threads)
    if 'large' in args.only: large(JIGSAW if torch.cuda.is_available() else args.rows, args.threads, args.compiled)
