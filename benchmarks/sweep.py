"""A sweep as people run it: the packaged encoder on a sample of tweets, offline, random search, then the best setting
beside the default over several seeds. Real data, found through TOXICAI_DATA. A second call goes on where the first
stopped. Everything, the logs of W&B included, lies in the folder of the sweep. Each worker is a process with one
thread.

    python -m benchmarks.sweep [--runs 12] [--rows 4000] [--seeds 3] [--workers 2] [--folder sweeps/davidson]
"""
import multiprocessing,os,time,warnings

# before torch counts the cores
os.environ.update({k:'1' for k in ('OMP_NUM_THREADS','MKL_NUM_THREADS')}, TOKENIZERS_PARALLELISM='false')
import torch
from benchmarks.common import *
from toxicai.all import *

settings = dict(
    lr=dict(distribution='log_uniform_values', min=1e-4, max=2e-3), decay=dict(values=[None, 0.7, 0.85]),
    warmup=dict(values=[0.06, 0.1, 0.3]), bs=dict(values=[16, 32]), dropout=dict(values=[0.1, 0.3]),
    class_weight=dict(values=[None, 'balanced']), balance=dict(values=[0., 0.5]), epochs=dict(value=1))
plan = dict(name='davidson', method='random', metric=dict(name='valid/f1', goal='maximize'), parameters=settings)

def sample(n):
    "`n` tweets, a fifth of them for validation"
    return data_file('davidson')[['text','label_name']].sample(n, random_state=42).reset_index(drop=True)

def the_sweep(rows, folder):
    cols,metrics = dict(text_col='text', label_cols='label_name'),label_metrics('f1, accuracy')
    how = dict(checkpoint=packaged_encoder(), metrics=metrics, max_length=64, split_seed=42)
    return Sweep(folder, plan, sample(rows), **how, **cols)

def work(runs, rows, seeds, folder):
    "What one worker does: runs that nobody has, then its own seeds"
    os.environ.update(WANDB_MODE='offline', WANDB_SILENT='true')
    quiet()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    if seeds is None: the_sweep(rows, folder).go(runs)
    elif seeds: the_sweep(rows, folder).seeds(seeds)

def share(parts):
    "Let a process do each of `parts`, arguments of `work`"
    spawn = multiprocessing.get_context('spawn')
    ps = [spawn.Process(target=work, args=o) for o in parts]
    for o in ps: o.start()
    for o in ps: o.join()
    codes = [o.exitcode for o in ps]
    if any(codes): raise SystemExit(f'workers ended with {codes}: call again to go on')

def show_frame(df, title): show(df.to_dict('records'), title)

def main(runs, rows, n_seeds, workers, folder):
    start = time.perf_counter()
    the_sweep(rows, folder)
    share([(runs, rows, None, folder)]*workers)
    swept,seeds = time.perf_counter(),list(range(1, n_seeds+1))
    res = the_sweep(rows, folder)
    table = res.results().reset_index()
    varied = [k for k in settings if k!='epochs']
    cols = ['number','state',*varied,'valid/f1','valid/accuracy','valid/loss','seconds']
    show_frame(table[[o for o in cols if o in table]].round(4),
               f'{len(table)} runs on {rows:,} tweets by {workers} worker(s), '
               f'{(swept-start)/60:.1f} minutes (this call)')
    if len(table)>=5:
        show_frame(res.importance().reset_index(), f'importance of the settings, {len(table)} runs: a hint')
    if n_seeds<2: return
    share([(runs, rows, seeds[i::workers], folder) for i in range(workers)])
    took = (time.perf_counter()-swept)/60
    show_frame(res.seeds(seeds).reset_index().round(4),
               f'macro F1 over seeds 1 to {n_seeds}, with 95 % intervals; {took:.1f} minutes (this call)')

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('--runs', type=int, default=12)
    p.add_argument('--rows', type=int, default=4000)
    p.add_argument('--seeds', type=int, default=3)
    p.add_argument('--workers', type=int, default=1, help='processes with one thread each')
    p.add_argument('--folder', default='sweeps/davidson')
    args = p.parse_args()
    begin()
    main(args.runs, args.rows, args.seeds, args.workers, args.folder)
