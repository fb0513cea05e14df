"""What several processes gain and change: the packaged encoder on comments of Jigsaw with six labels, every tenth of
which is taken away, and weights; the same batches in one process and in several, fp32, no dropout, AdamW. Tables: how
equal the shares of tokens are, dealt out and in slices as fastai cuts them; how far weights and figures are from
those of one process with the joint batch; seconds for a step. Real data, found through TOXICAI_DATA. gloo on CPUs;
one thread for each process.

    python -m benchmarks.distributed [--rows 1200] [--bs 16] [--processes 2] [--epochs 1] [--length 128]
"""
import os,subprocess,sys,tempfile,time
from pathlib import Path
from statistics import median

import numpy as np,torch
from fastai.callback.core import Callback
from fastai.torch_core import rank_distrib

from benchmarks.common import *
from toxicai.all import *
from toxicai.train.distributed import Ranks,load_spread,rank_dl

def comments(n):
    "`n` comments with gaps and weights, a quarter of them for validation"
    df,rng = data_file('jigsaw_train_part2').sample(n, random_state=42).reset_index(drop=True),np.random.default_rng(42)
    for k in jigsaw_labels: df[k] = df[k].astype(float).mask(rng.random(n)<0.1)
    return df.assign(weight=rng.choice([0.5,1.,2.], n), is_valid=np.arange(n)%4==0)

def loaders(a, n_ranks):
    cols = dict(text_col='text', label_cols=jigsaw_labels, valid_col='is_valid', weight_col='weight')
    return ToxicityDataLoaders.from_df(comments(a.rows), packaged_encoder(), max_length=a.length, bs=a.bs*n_ranks,
                                       val_bs=64, device='cpu', **cols)

class StepTimes(Callback):
    "Seconds of each training batch"
    run_valid = False
    def before_fit(self): self.seconds = []
    def before_batch(self): self.start = time.perf_counter()
    def after_batch(self): self.seconds.append(time.perf_counter()-self.start)

def one(a, n_ranks, folder):
    "A fit as one process of a launcher, or alone: weights, figures, seconds"
    torch.set_num_threads(1)
    learn,times = toxicity_learner(loaders(a, n_ranks), seed=42, precision='fp32', dropout=0.),StepTimes()
    for m in learn.model.modules():
        if isinstance(m, torch.nn.Dropout): m.p = 0.
    first = {k:v.detach().clone() for k,v in learn.model.named_parameters()}
    with learn.no_bar(),learn.no_logging(),learn.distrib_ctx(timeout=300): learn.fit(a.epochs, 1e-4, cbs=times)
    moved = max(float((v.detach()-first[k]).abs().max()) for k,v in learn.model.named_parameters())
    res = dict(weights=dict(learn.model.named_parameters()), moved=moved,
               figures=list(map(float, learn.recorder.values[-1][:-1])),
               seconds=median(times.seconds), names=list(learn.recorder.metric_names[1:-1]))
    torch.save(res, folder/f'{n_ranks}_{rank_distrib()}.pt')

def launch(a, n, joint, folder):
    "One fit by `n` processes, whose batches are those of `joint`"
    start = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(n)] if n>1 else []
    sizes = ['--rows', str(a.rows), '--bs', str(a.bs), '--epochs', str(a.epochs), '--length', str(a.length)]
    cmd = [sys.executable, *start, '-m', 'benchmarks.distributed', *sizes, '--one', str(joint), str(folder)]
    subprocess.run(cmd, check=True, stdout=subprocess.DEVNULL, env={**os.environ, 'OMP_NUM_THREADS':'1'})

def shares(name, lengths):
    "A row of the table for texts of these lengths; shape (n_steps, n_processes, bs)"
    real,padded = lengths.sum(2),lengths.max(2)*lengths.shape[2]
    return {'shares':name, 'real tokens':f'{load_spread(real):.1%}', 'with padding':f'{load_spread(padded):.1%}'}

def spread(a):
    "How equal the shares of tokens are"
    n,bs = a.processes,a.bs
    dl = rank_dl(loaders(a, 1).train, Ranks(0, n), bs*n)
    dl.get_idxs()
    length,batches = dl.row_lengths(),np.array(dl.rows_of_pass).reshape(-1, bs*n)
    dealt = np.stack([length[b[p]] for b,p in zip(batches, dl.places)])
    epoch = np.array(dl.whole.get_idxs()[:batches.size]) # what one process would go through
    show([shares('dealt out', dealt), shares('slices of each batch', length[batches].reshape(-1, n, bs)),
          shares('slices of the epoch, as fastai', length[epoch].reshape(n, -1, bs).transpose(1, 0, 2))],
         f'{len(batches)} steps of {n} processes with {bs} comments each: tokens of the fullest over the mean, less 1')

def both_ways(a):
    "What a fit by one process left, and what each of several did"
    n = a.processes
    with tempfile.TemporaryDirectory() as d:
        folder = Path(d)
        launch(a, 1, n, folder)
        launch(a, n, 1, folder)
        names = [f'{n}_0.pt', *[f'1_{r}.pt' for r in range(n)]]
        single,*many = [torch.load(folder/o, weights_only=False) for o in names]
    return single,many

def main(a):
    spread(a)
    n,(single,many) = a.processes,both_ways(a)
    def _far(x, y): return max(float((v-y['weights'][k]).abs().max()) for k,v in x['weights'].items())
    table = [{'figure':k, 'one process':x, f'{n} processes':y, 'difference':abs(x-y)}
             for k,x,y in zip(single['names'], single['figures'], many[0]['figures'])]
    show(table, f"the last epoch; one process has {a.bs*n} comments in a batch, {n} have {a.bs} each")
    show([{'largest difference of a weight':f'{_far(single, many[0]):.2g}',
           'between the processes':f'{_far(many[0], many[1]):.2g}',
           'furthest move of a weight':f"{single['moved']:.2g}", 'seconds a step, one':single['seconds'],
           f'seconds a step, {n}':many[0]['seconds'], 'ratio':single['seconds']/many[0]['seconds']}])

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('--rows', type=int, default=1200)
    p.add_argument('--bs', type=int, default=16)
    p.add_argument('--processes', type=int, default=2)
    p.add_argument('--epochs', type=int, default=1)
    p.add_argument('--length', type=int, default=128)
    p.add_argument('--one', nargs=2, metavar=('RANKS','FOLDER'), help='one fit of the table, as a launcher starts it')
    args = p.parse_args()
    begin() if args.one is None else quiet()
    if args.one: one(args, int(args.one[0]), Path(args.one[1]))
    else: main(args)
